"""Requests that submitted jobs, kept so that their spans can be looked at. Nothing but spans is lost with them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from schedora.application.telemetry.request_span import ServedRequest


@frozen
class Asked:
    """A request by its span, and about when it was: by a job's trace and its ``created_at``."""

    span_id: str
    at: datetime


class RequestSpans(Protocol):
    async def keep(self, served: Sequence[ServedRequest]) -> None:
        """Soon after they were served: later than a minute, they may not be found."""
        ...

    async def find(self, asked: Collection[Asked]) -> list[ServedRequest]:
        """Those that were kept."""
        ...

    async def prune(self, kept_for: timedelta, *, spans_max: int, limit: int) -> int:
        """Removes what was kept for so long, and of more than ``spans_max`` the oldest; looks at so many batches at
        most. How many requests were removed.
        """
        ...
