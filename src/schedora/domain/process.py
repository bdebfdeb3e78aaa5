"""A process of Schedora, as it tells of itself."""

from datetime import timedelta
from enum import StrEnum

from attrs import frozen

from schedora.domain.ids import ProcessId

REPORTED_EVERY = timedelta(seconds=10)

FRESH_FOR = timedelta(seconds=40)
"""Whose last report is older has gone, or can't reach the store."""


class ProcessKind(StrEnum):
    API = "api"
    WORKER = "worker"
    REAPER = "reaper"
    UP = "up"
    """API, worker and reaper in one."""
    CLIENT = "client"
    """A program that submits jobs by itself, and not over HTTP."""


@frozen(kw_only=True)
class ProcessIdentity:
    """One start of one process. ``name`` is for people: several may carry the same."""

    process_id: ProcessId
    kind: ProcessKind
    name: str
    hostname: str
    pid: int
    version: str
