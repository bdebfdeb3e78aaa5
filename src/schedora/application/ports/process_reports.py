"""What each process tells of itself every few seconds: who it is, what its clock says, and how its gauges stand.

Workers and reapers answer nobody: by this they are seen from everywhere.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from attrs import frozen

from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity


@frozen(kw_only=True)
class ProcessReport:
    """The last one of a process."""

    identity: ProcessIdentity
    started_at: datetime
    """When the store had its first report."""
    seen_at: datetime
    """When the store had this one."""
    clock_at: datetime
    """What the process's own clock said as it wrote this one."""
    gauges: Mapping[Series, float]

    @property
    def clock_skew(self) -> timedelta:
        """How far its clock is ahead of the store's. The report's way to the store makes it look late."""
        return self.clock_at - self.seen_at


class ProcessReports(Protocol):
    async def put(
        self, identity: ProcessIdentity, *, clock_at: datetime, gauges: Mapping[Series, float]
    ) -> None:
        """In place of its last one."""
        ...

    async def withdraw(self, process_id: ProcessId) -> None:
        """The process ends."""
        ...

    async def fresh(self, within: timedelta) -> list[ProcessReport]:
        """Those that came in that time, by kind, name and start."""
        ...

    async def prune(self, older_than: timedelta) -> int:
        """Forgets those that came longer ago; answers how many."""
        ...
