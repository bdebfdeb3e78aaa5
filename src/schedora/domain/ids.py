"""The identifiers of the domain: distinct types, so that none can stand in for another."""

from typing import NewType
from uuid import UUID

JobId = NewType("JobId", UUID)
WorkflowId = NewType("WorkflowId", UUID)

WorkerId = NewType("WorkerId", str)
"""Names a worker for people. Says nothing about liveness: a restart may carry the same name."""

IncarnationId = NewType("IncarnationId", UUID)
"""One start of one worker process. Leases and liveness belong to it."""

ProcessId = NewType("ProcessId", UUID)
"""One start of one process, of whatever kind."""

LeaseId = NewType("LeaseId", UUID)
"""Random, one per claim. Every write after the claim must name it."""

LeaseToken = NewType("LeaseToken", int)
"""Grows by one at each claim of a job and never shrinks: fences writes outside of Schedora."""

TenantId = NewType("TenantId", int)

DEFAULT_TENANT = TenantId(1)

JsonText = NewType("JsonText", str)
"""A JSON document, encoded. The domain carries documents and never looks inside."""

_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_BITS = 74


def uuid7(unix_ms: int, random: int) -> UUID:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of time, then 74 bits of the caller's choice.

    Ascending (``unix_ms``, ``random``) yields ascending ids. Raises ``ValueError`` when either does not fit.
    """
    return UUID(int=uuid7_number(unix_ms, random))


def uuid7_number(unix_ms: int, random: int) -> int:
    """As ``uuid7``: its 128 bits."""
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"unix_ms must fit 48 bits, not {unix_ms}")
    if not 0 <= random < 1 << _RANDOM_BITS:
        raise ValueError(f"random must fit 74 bits, not {random}")
    high, low = random >> 62, random & ((1 << 62) - 1)
    return unix_ms << 80 | _VERSION | high << 64 | _VARIANT | low
