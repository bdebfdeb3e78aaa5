"""From the API's JSON to values. Members that this version does not know are passed over."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from cattrs import BaseConverter, Converter
from cattrs.gen import make_dict_structure_fn, override

from schedora.application.encoding import decode_json
from schedora.domain.events import JobEvent
from schedora.domain.ids import JobId
from schedora.entrypoints.sdk.event_views import JobMove
from schedora.entrypoints.sdk.log_views import LogLine
from schedora.entrypoints.sdk.views import WorkflowView

T = TypeVar("T")

Decode = Callable[[bytes], T]
"""Reads an answer's body."""


def whole(kind: type[T]) -> Decode[T]:
    """The document itself is the value."""
    return lambda body: structured(decode_json(body), kind)


def data(kind: type[T]) -> Decode[T]:
    """The value stands under ``data``."""
    return lambda body: structured(decode_json(body)["data"], kind)


def structured(document: Any, kind: type[T]) -> T:
    """Raises what a document of another shape brings about: ``KeyError``, ``TypeError``, ``ValueError``,
    ``AttributeError``.
    """
    return _converter.structure(document, kind)


def nothing(_body: bytes) -> None:
    """There is nothing to read."""


def _edges(edges: Any, _: object) -> tuple[tuple[JobId, JobId], ...]:
    return tuple((JobId(UUID(edge["from"])), JobId(UUID(edge["to"]))) for edge in edges)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return instant


def _made() -> BaseConverter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(datetime, lambda text, _: _instant(text))
    converter.register_structure_hook(UUID, lambda text, _: UUID(text))
    for kind in (JobEvent, JobMove):
        converter.register_structure_hook(
            kind,
            make_dict_structure_fn(
                kind, converter, from_state=override(rename="from"), to_state=override(rename="to")
            ),
        )
    converter.register_structure_hook(LogLine, lambda line, _: LogLine.read(line))
    converter.register_structure_hook(
        WorkflowView,
        make_dict_structure_fn(WorkflowView, converter, edges=override(struct_hook=_edges)),
    )
    return converter


_converter = _made()
