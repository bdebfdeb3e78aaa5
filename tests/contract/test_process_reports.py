"""What each process tells of itself every few seconds."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity, ProcessKind
from tests.builders import HOUR, NOON
from tests.contract.stores import Stores

SLOTS = Series("worker_slots", ())
CONNECTIONS = Series("database_connections", (("pool", 'a "quoted" Ω'), ("state", "idle")))


def an_identity(number: int = 1, **fields: Any) -> ProcessIdentity:
    defaults: dict[str, Any] = {
        "process_id": ProcessId(UUID(int=number)),
        "kind": ProcessKind.WORKER,
        "name": "w1",
        "hostname": "host",
        "pid": 7,
        "version": "1.2.3",
    }
    return ProcessIdentity(**defaults | fields)


async def test_nobody_has_told_anything_at_first(stores: Stores) -> None:
    assert await stores.process_reports.fresh(HOUR) == []


async def test_the_last_report_stands(stores: Stores) -> None:
    before = await stores.now()
    await stores.process_reports.put(an_identity(), clock_at=NOON, gauges={SLOTS: 1})
    [first] = await stores.process_reports.fresh(HOUR)
    gauges = {SLOTS: 2.5, CONNECTIONS: 0.0}
    await stores.process_reports.put(an_identity(), clock_at=NOON + HOUR, gauges=gauges)
    [second] = await stores.process_reports.fresh(HOUR)

    assert (first.identity, first.clock_at, dict(first.gauges)) == (an_identity(), NOON, {SLOTS: 1})
    assert (second.clock_at, dict(second.gauges)) == (NOON + HOUR, gauges)
    assert second.started_at == first.started_at == first.seen_at
    assert before < first.seen_at < second.seen_at < await stores.now()
    assert second.clock_skew == NOON + HOUR - second.seen_at


async def test_processes_come_by_kind_and_name(stores: Stores) -> None:
    kinds = (ProcessKind.WORKER, ProcessKind.API, ProcessKind.REAPER)
    told = [
        an_identity(len(kinds) * n + at, kind=kind, name=name)
        for n, name in enumerate(("b", "Z"))
        for at, kind in enumerate(kinds)
    ]
    for identity in told:
        await stores.process_reports.put(identity, clock_at=NOON, gauges={})

    listed = [report.identity for report in await stores.process_reports.fresh(HOUR)]

    assert listed == sorted(told, key=lambda identity: (identity.kind, identity.name))


async def test_of_one_name_the_one_that_began_first_comes_first(stores: Stores) -> None:
    for number in (2, 1):
        await stores.process_reports.put(an_identity(number), clock_at=NOON, gauges={})
    await stores.process_reports.put(an_identity(2), clock_at=NOON, gauges={})

    listed = [report.identity.process_id.int for report in await stores.process_reports.fresh(HOUR)]

    assert listed == [2, 1]


async def test_who_ends_takes_his_report_with_him(stores: Stores) -> None:
    for number in (1, 2):
        await stores.process_reports.put(an_identity(number), clock_at=NOON, gauges={})
    await stores.process_reports.withdraw(ProcessId(UUID(int=1)))
    await stores.process_reports.withdraw(ProcessId(UUID(int=3)))

    assert [one.identity for one in await stores.process_reports.fresh(HOUR)] == [an_identity(2)]


async def test_old_reports_are_not_told_and_then_forgotten(stores: Stores) -> None:
    await stores.process_reports.put(an_identity(), clock_at=NOON, gauges={})
    [report] = await stores.process_reports.fresh(HOUR)
    age = await stores.now() - report.seen_at

    assert await stores.process_reports.fresh(age / 2) == []
    assert await stores.process_reports.prune(HOUR) == 0
    assert len(await stores.process_reports.fresh(HOUR)) == 1
    assert await stores.process_reports.prune(timedelta(0)) == 1
    assert await stores.process_reports.fresh(HOUR) == []
