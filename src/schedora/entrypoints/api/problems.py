"""Errors as they leave the server: RFC 9457, ``application/problem+json``, each kind with one name."""

import math
from collections.abc import Mapping, Sequence
from typing import NotRequired, Self

from attrs import evolve, field, frozen
from fastapi import Response
from pydantic import JsonValue
from typing_extensions import TypedDict

from schedora.domain.errors import brief
from schedora.entrypoints.api.answers import encoded

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
SHOWN_ERRORS = 3
TEXT_LENGTH_MAX = 80

TITLES: Mapping[str, str] = {
    "bad-request": "The request can't be understood",
    "malformed-json": "The body is not JSON",
    "invalid-request": "The request breaks rules",
    "invalid-graph": "The dependencies can't be satisfied",
    "not-found": "There is no such thing",
    "method-not-allowed": "The method is not allowed here",
    "conflict": "The present state forbids it",
    "key-taken": "The idempotency key is taken",
    "name-taken": "The name is taken",
    "workflow-closed": "The workflow takes no more jobs",
    "worker-declared-lost": "The worker was declared lost",
    "too-slow": "The request came too slowly",
    "address-too-long": "The address is too long",
    "head-too-large": "The headers are too large",
    "unsupported-media-type": "The body is of the wrong kind",
    "too-large": "The request is too large",
    "unavailable": "The service is not available now",
    "internal": "Something went wrong in the server",
}


class FieldProblem(TypedDict):
    """What is wrong with one field. ``value`` is what was given, shortened, where it helps."""

    field: str
    message: str
    value: NotRequired[JsonValue]


@frozen(kw_only=True)
class Problem:
    """``members`` stand beside the standard ones."""

    kind: str
    status: int
    detail: str
    errors: Sequence[FieldProblem] = ()
    members: Mapping[str, object] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)

    def with_members(self, **members: object) -> Self:
        return evolve(self, members={**self.members, **members})

    def response(self, trace_id: str) -> Response:
        document = {
            "type": f"urn:problem-type:schedora:{self.kind}",
            "title": TITLES[self.kind],
            "status": self.status,
            "detail": self.detail,
            "errors": self.errors,
            "trace_id": trace_id,
            **self.members,
        }
        return Response(
            encoded(document),
            status_code=self.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


class Refused(Exception):
    """Raised by a route to answer with ``problem``."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.detail)


def invalid(errors: Sequence[FieldProblem]) -> Problem:
    """422 for fields that break rules."""
    return Problem(kind="invalid-request", status=422, detail=_told(errors), errors=errors)


def too_large(errors: Sequence[FieldProblem]) -> Problem:
    """413 for fields of which one at least is over its limit."""
    return Problem(kind="too-large", status=413, detail=_told(errors), errors=errors)


def unavailable(detail: str) -> Problem:
    """503 for what is worth another try, soon."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(kind="unavailable", status=503, detail=detail, headers=headers)


STOPPING = unavailable("The server is stopping; another one may be there already.")


def _told(errors: Sequence[FieldProblem]) -> str:
    """The first few, for people."""
    told = "; ".join(
        error["message"]
        if error["message"].startswith(error["field"])
        else f"{error['field']}: {error['message']}"
        for error in errors[:SHOWN_ERRORS]
    )
    more = f"; and {len(errors) - SHOWN_ERRORS} more" if len(errors) > SHOWN_ERRORS else ""
    return told + more


def field_problem(name: str, message: str, value: object = None) -> FieldProblem:
    """None is no value worth showing."""
    if value is None:
        return {"field": name, "message": message}
    return {"field": name, "message": message, "value": shown(value)}


def placed(errors: Sequence[FieldProblem], place: str) -> list[FieldProblem]:
    """Errors of a part, told of the whole: the part stands at ``place``."""
    return [
        {**error, "field": place if error["field"] == "body" else f"{place}.{error['field']}"}
        for error in errors
    ]


def shown(value: object) -> JsonValue:
    """``value`` itself where it is short and simple, else its beginning in words."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 53:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        text = value[: TEXT_LENGTH_MAX + 1].encode("utf-8", "backslashreplace").decode()
        return text if len(text) <= TEXT_LENGTH_MAX else f"{text[: TEXT_LENGTH_MAX - 1]}…"
    return brief(value)
