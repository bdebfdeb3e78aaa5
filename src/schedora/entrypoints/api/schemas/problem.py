"""Problems as they are documented; ``problems.py`` makes them."""

from typing import NotRequired

from typing_extensions import TypedDict

from schedora.entrypoints.api.problems import FieldProblem
from schedora.entrypoints.api.schemas.fields import AnyJson


class ProblemView(TypedDict):
    """RFC 9457. ``trace_id`` finds the request in the logs. A taken idempotency key adds ``data`` and
    ``same_request``, a graph that can't be satisfied its ``path``.
    """

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem]
    trace_id: str
    data: NotRequired[AnyJson]
    same_request: NotRequired[bool]
    path: NotRequired[list[str]]
