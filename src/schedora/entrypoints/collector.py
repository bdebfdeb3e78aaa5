"""Where spans are exported to, as OpenTelemetry's settings say it."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import unquote, urlsplit

from attrs import frozen
from pydantic import AfterValidator

PROTOCOL = "http/protobuf"
TRACES_PATH = "/v1/traces"
TIMEOUT_SECONDS_MAX = 3600.0
"""Stands for no limit."""


@frozen(kw_only=True)
class Collector:
    """A server that takes spans over OTLP, and how it is spoken to."""

    endpoint: str
    headers: Mapping[str, str]
    timeout_seconds: float


def _url(value: str | None) -> str | None:
    if value is not None:
        parts = urlsplit(value)  # raises ValueError for what is no URL at all
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("should be a URL like http://localhost:4318")
    return value


def _pairs(value: str | None) -> str | None:
    if value is not None:
        pairs(value)
    return value


def pairs(text: str) -> dict[str, str]:
    """``a=1,b=2`` with what is special encoded as in URLs. Raises ``ValueError``."""
    told: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise ValueError("should be pairs like name=value, with a comma between two")
        told[unquote(name.strip())] = unquote(value.strip())
    return told


HttpUrl = Annotated[str | None, AfterValidator(_url)]
Pairs = Annotated[str | None, AfterValidator(_pairs)]
