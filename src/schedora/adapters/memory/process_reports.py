"""What each process tells of itself every few seconds."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity


class MemoryProcessReports:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def put(
        self, identity: ProcessIdentity, *, clock_at: datetime, gauges: Mapping[Series, float]
    ) -> None:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            last = tables.processes.get(identity.process_id)
            tables.processes[identity.process_id] = ProcessReport(
                identity=identity,
                started_at=now if last is None else last.started_at,
                seen_at=now,
                clock_at=clock_at,
                gauges=dict(gauges),
            )

    @fallible
    async def withdraw(self, process_id: ProcessId) -> None:
        async with self._store.transaction() as tables:
            tables.processes.pop(process_id, None)

    @fallible
    async def fresh(self, within: timedelta) -> list[ProcessReport]:
        with self._store.committed() as tables:
            since = self._store.clock.now() - within
            return sorted(
                (report for report in tables.processes.values() if report.seen_at >= since), key=_order
            )

    @fallible
    async def prune(self, older_than: timedelta) -> int:
        async with self._store.transaction() as tables:
            since = self._store.clock.now() - older_than
            gone = [key for key, report in tables.processes.items() if report.seen_at < since]
            for key in gone:
                del tables.processes[key]
            return len(gone)


def _order(report: ProcessReport) -> tuple[str, str, datetime, ProcessId]:
    identity = report.identity
    return identity.kind, identity.name, report.started_at, identity.process_id
