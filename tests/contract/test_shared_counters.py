"""Counts of all processes together."""

import asyncio

from schedora.application.ports.shared_counters import Series
from tests.contract.stores import Stores

PLAIN = Series("jobs_fenced_total", ())
LABELLED = Series("job_duration_seconds_bucket", (("job_type", 'a "quoted" Ω'), ("le", "+Inf")))


async def test_nothing_is_counted_at_first(stores: Stores) -> None:
    assert await stores.shared_counters.read() == {}


async def test_increments_add_up(stores: Stores) -> None:
    await stores.shared_counters.add({PLAIN: 1, LABELLED: 0.25})
    await stores.shared_counters.add({LABELLED: 0.5})
    await stores.shared_counters.add({})
    assert await stores.shared_counters.read() == {PLAIN: 1, LABELLED: 0.75}


async def test_series_differ_by_name_and_labels(stores: Stores) -> None:
    series = [Series("a", ()), Series("b", ()), Series("a", (("x", "1"),)), Series("a", (("x", "2"),))]
    await stores.shared_counters.add({one: number for number, one in enumerate(series)})
    assert await stores.shared_counters.read() == {one: number for number, one in enumerate(series)}


async def test_rivals_lose_no_increment(stores: Stores) -> None:
    forward, backward = {PLAIN: 1.0, LABELLED: 1.0}, {LABELLED: 1.0, PLAIN: 1.0}
    await asyncio.gather(*(stores.shared_counters.add(one) for one in (forward, backward) * 10))
    assert await stores.shared_counters.read() == {PLAIN: 20, LABELLED: 20}
