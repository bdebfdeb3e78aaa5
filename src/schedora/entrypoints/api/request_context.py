"""One request as the edge sees it: what every route, log line and problem may want to know of it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from attrs import field, frozen
from fastapi import Request
from starlette.types import Scope

from schedora.domain.trace import TraceContext

_KEY = "schedora.visit"
_STORED = "schedora.stored"

SANE = re.compile(r"[\x21-\x7e]{1,128}")
"""What a caller's words must look like to be repeated."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SUBJECTS = {"job_id": _UUID, "workflow_id": _UUID, "worker_id": SANE}
"""What addresses name, and what it looks like."""


@frozen(kw_only=True)
class RequestContext:
    """``trace`` is the caller's, or new; so is ``correlation_id``. ``with_body``: the answer is wanted whole, not its
    headers alone.
    """

    trace: TraceContext
    parent_span_id: str | None = None
    """The caller's."""
    correlation_id: str
    with_body: bool
    _scope: Scope = field(factory=dict, repr=False)
    _subject: dict[str, str] = field(factory=dict, init=False)

    def enter(self, scope: Scope) -> None:
        scope[_KEY] = self

    def leave(self, scope: Scope) -> None:
        """They hold each other: without this, whatever a request had would wait for the garbage collector."""
        del scope[_KEY]

    def is_about(self, **ids: object) -> None:
        """What it is about, where that is not in its address: ``job_id`` of a new job."""
        self._subject.update({name: str(value) for name, value in ids.items()})

    @property
    def subject(self) -> Mapping[str, str]:
        """By name, as far as it is known yet."""
        in_address = self._scope.get("path_params") or {}
        told = {
            name: in_address[name]
            for name, shape in SUBJECTS.items()
            if name in in_address and shape.fullmatch(in_address[name])
        }
        return told | self._subject if self._subject else told


class Stored(NamedTuple):
    """What a request has stored: so many jobs, at that time by the store."""

    jobs: int
    at: datetime


def note_stored(request: Request, jobs: int, at: datetime) -> None:
    """For the span of the request, which is the root of their traces."""
    request.scope[_STORED] = Stored(jobs, at)


def stored_by(scope: Scope) -> Stored | None:
    """None for a request that has stored no job."""
    stored: Stored | None = scope.get(_STORED)
    return stored


def request_context_of(request: Request | Scope) -> RequestContext:
    """Of a request, or of its scope."""
    scope = request.scope if isinstance(request, Request) else request
    visit: RequestContext = scope[_KEY]
    return visit
