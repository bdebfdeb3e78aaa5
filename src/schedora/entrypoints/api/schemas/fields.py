"""The types that requests and answers are made of."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from schedora.domain.errors import InvalidField
from schedora.domain.job_request import KEY_LENGTH_MAX, check_instant
from schedora.domain.text import check_text
from schedora.entrypoints.api.cursors import CURSOR_PATTERN, position_of

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
NO_NUL = r"^[^\u0000]*$"
"""As ECMA-262 has it."""

_AN_INSTANT = "must be an instant with an offset, like 2030-01-31T08:00:00Z"


def documented(**schema: Any) -> Any:
    """A rule that the domain checks, shown in the documentation."""
    return Field(json_schema_extra=schema)


def text_schema(length_max: int, *, length_min: int = 1) -> dict[str, Any]:
    """For a string that something is named with: it may have any character but NUL."""
    return {"minLength": length_min, "maxLength": length_max, "pattern": NO_NUL}


def documented_text(length_max: int, *, length_min: int = 1) -> Any:
    """The same for a field."""
    return documented(**text_schema(length_max, length_min=length_min))


def _instant(value: object) -> datetime:
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError(_AN_INSTANT)
    try:
        instant = datetime.fromisoformat(value.upper())
    except ValueError:
        raise ValueError(_AN_INSTANT) from None
    try:
        check_instant("", instant)
    except InvalidField as error:
        raise ValueError(f"must be {error.allowed}") from None
    return instant.astimezone(UTC)


def _query_instant(value: object) -> datetime:
    # A plus sign that was not percent-encoded arrives as a space.
    return _instant(re.sub(r" (?=\d\d:\d\d$)", "+", value) if isinstance(value, str) else value)


def _uuid(value: object) -> UUID:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise ValueError("must be a UUID, like 0198c0de-0000-7000-8000-000000000000")
    return UUID(value)


def _name(value: str) -> str:
    try:
        check_text("", value, length_max=KEY_LENGTH_MAX)
    except InvalidField as error:
        raise ValueError(f"must be {error.allowed}") from None
    return value


def _position(value: object) -> UUID:
    return position_of(value if isinstance(value, str) else "")


_INSTANT_SCHEMA = WithJsonSchema(
    {"type": "string", "format": "date-time", "description": "RFC 3339, with an offset"}
)
_UUID_SCHEMA = WithJsonSchema({"type": "string", "format": "uuid"})

Instant = Annotated[datetime, BeforeValidator(_instant), _INSTANT_SCHEMA]
QueryInstant = Annotated[datetime, BeforeValidator(_query_instant), _INSTANT_SCHEMA]
Uuid = Annotated[UUID, BeforeValidator(_uuid), _UUID_SCHEMA]
Cursor = Annotated[
    UUID | None,
    BeforeValidator(_position),
    WithJsonSchema({"type": "string", "pattern": CURSOR_PATTERN}),
    Field(description="The next_cursor of an earlier answer"),
]

FilterName = Annotated[str, AfterValidator(_name), documented_text(KEY_LENGTH_MAX)]
"""A name to look for: one that something could have."""

OfType = Annotated[FilterName | None, Field(description="Jobs of this type alone")]
OfQueue = Annotated[FilterName | None, Field(description="Jobs of this queue alone")]
OfErrorKind = Annotated[
    FilterName | None,
    Field(description="Jobs alone whose newest failed attempt ended by an error of this kind"),
]

AnyJson = Annotated[Any, WithJsonSchema({"description": "Any JSON value"})]
"""An encoded document, put into the answer as it is."""

ObjectJson = Annotated[Any, WithJsonSchema({"type": "object", "additionalProperties": True})]
"""The same, for documents that are objects."""

Utc = Annotated[datetime, WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant in an answer: UTC, written with Z."""


class Body(BaseModel):
    """A request body: its JSON types are taken literally, unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class QueryString(BaseModel):
    """Query parameters: unknown ones are refused, for a mistyped filter must not mean everything."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
