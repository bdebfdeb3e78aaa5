"""Labels stay few, whatever is submitted."""

import pytest

from schedora.adapters.memory.shared_counters import MemorySharedCounters
from schedora.adapters.telemetry.label_limit import OTHER, LabelLimit, admitted
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.shared_counters import Series
from tests.contract.memory import a_memory_store

VALUES_MAX = 20


def created(job_type: str) -> Series:
    return Series("jobs_created_total", (("job_type", job_type),))


def names(count: int, prefix: str = "t") -> list[str]:
    return [f"{prefix}{number:04}" for number in range(count)]


def a_totals() -> MemorySharedCounters:
    return MemorySharedCounters(a_memory_store())


async def test_as_long_as_there_are_few_all_have_their_own() -> None:
    counted = {created(name): 1.0 for name in names(VALUES_MAX)} | {Series("jobs_fenced_total", ()): 1.0}
    assert await LabelLimit(a_totals(), values_max=VALUES_MAX).bounded(counted) == counted


async def test_what_comes_after_many_is_counted_as_other() -> None:
    totals = a_totals()
    bounds = LabelLimit(totals, values_max=VALUES_MAX)
    first = {created(name): 1.0 for name in names(VALUES_MAX - 1)}
    await totals.add(await bounds.bounded(first))

    told = await bounds.bounded({created(name): 1.0 for name in ("new1", "new2", "new3")})

    assert told == {created("new1"): 1, created(OTHER): 2}
    assert await bounds.bounded({**first, created("new3"): 5.0}) == {**first, created(OTHER): 5}


async def test_series_that_exist_stay_and_processes_share_the_room() -> None:
    totals = a_totals()
    await totals.add({created(name): 1.0 for name in names(VALUES_MAX + 5)})

    bounds = LabelLimit(totals, values_max=VALUES_MAX)  # of a process that has counted nothing yet

    kept = {created(names(VALUES_MAX + 5)[-1]): 1.0}
    assert await bounds.bounded(kept) == kept
    assert await bounds.bounded({created("new"): 1.0}) == {created(OTHER): 1}


async def test_a_queue_has_one_place_whatever_its_label_is_called() -> None:
    totals = a_totals()
    latency = "job_queue_latency_seconds_count"
    await totals.add(
        {Series("queue_enqueued_total", (("queue_name", name),)): 1.0 for name in names(VALUES_MAX)}
    )

    told = await LabelLimit(totals, values_max=VALUES_MAX).bounded(
        {
            Series(latency, (("queue", "t0000"),)): 1.0,
            Series(latency, (("queue", "new"),)): 2.0,
            Series("reaper_round_duration_seconds_count", (("status", "success"),)): 3.0,
        }
    )

    assert told == {
        Series(latency, (("queue", "t0000"),)): 1,
        Series(latency, (("queue", OTHER),)): 2,
        Series("reaper_round_duration_seconds_count", (("status", "success"),)): 3,
    }


async def test_the_store_is_asked_for_what_is_new_alone() -> None:
    totals = a_totals()
    bounds = LabelLimit(totals, values_max=VALUES_MAX)
    await bounds.bounded({created("a"): 1.0})
    totals.faults.away = True
    assert await bounds.bounded({created("a"): 2.0}) == {created("a"): 2}
    with pytest.raises(StoreUnavailable):
        await bounds.bounded({created("b"): 1.0})


def test_who_has_a_series_keeps_it_and_the_rest_is_admitted_in_order() -> None:
    known = set(names(VALUES_MAX - 1))
    assert admitted(["t0000", "b", "a"], known, values_max=VALUES_MAX) == {"t0000", "a"}
    assert admitted(["b", "a"], {OTHER}, values_max=2) == {"a", "b"}
