"""What leaves the server: documents encoded once, by orjson, around the documents that are already encoded."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from fastapi import Response

from schedora.domain.ids import JsonText

_OPTIONS = orjson.OPT_UTC_Z


def answer(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encoded(document),
        status_code=status,
        headers=None if headers is None else dict(headers),
        media_type="application/json",
    )


def encoded(document: object) -> bytes:
    """``document`` as JSON; instants are in UTC, written with Z."""
    return orjson.dumps(document, default=_plain, option=_OPTIONS)


def _plain(value: object) -> str:
    """Drivers bring identifiers of a type of their own, which orjson takes for none."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def embedded(text: JsonText | None) -> Any:
    """An encoded document as part of another: written as it is, neither decoded nor encoded again."""
    return None if text is None else orjson.Fragment(text)


def seconds(span: timedelta) -> float:
    """Whole where it is whole, so that 60 does not become 60.0."""
    value = span.total_seconds()
    return int(value) if value.is_integer() else value
