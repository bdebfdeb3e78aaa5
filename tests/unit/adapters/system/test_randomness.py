"""Chance: the operating system's, or that of a seed."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import OrderedIds, SeededRandomness, SystemRandomness
from schedora.application.ports.randomness import Randomness
from tests.builders import HOUR, NOON, SECOND

MILLISECOND = timedelta(milliseconds=1)


def both() -> list[Randomness]:
    return [SystemRandomness(SystemClock()), SeededRandomness(1, VirtualClock())]


@pytest.mark.parametrize("chance", both(), ids=["system", "seeded"])
def test_values_lie_where_they_should(chance: Randomness) -> None:
    assert all(0 <= chance.unit() < 1 for _ in range(1_000))
    assert all(0 <= chance.bits(3) < 8 for _ in range(1_000))
    assert {chance.bits(1) for _ in range(1_000)} == {0, 1}
    ids = [chance.random_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {(one.version, one.variant) for one in ids} == {(4, RFC_4122)}


@pytest.mark.parametrize("chance", both(), ids=["system", "seeded"])
def test_ordered_ids_ascend(chance: Randomness) -> None:
    ids = [chance.ordered_id() for _ in range(1_000)]
    assert all(before < after for before, after in pairwise(ids))
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}


@pytest.mark.parametrize("chance", both(), ids=["system", "seeded"])
def test_many_ids_ascend_among_those_made_one_by_one(chance: Randomness) -> None:
    ids = [chance.ordered_id(), *chance.ordered_ids(1_000), chance.ordered_id(), *chance.ordered_ids(1)]
    assert len(ids) == 1_003
    assert all(before < after for before, after in pairwise(ids))
    assert {(one.version, one.variant) for one in ids} == {(7, RFC_4122)}
    assert chance.ordered_ids(0) == []


def test_seed_decides_everything() -> None:
    def values(seed: int) -> list[object]:
        chance = SeededRandomness(seed, VirtualClock())
        return [
            chance.unit(),
            chance.bits(64),
            chance.random_id(),
            chance.ordered_id(),
            chance.ordered_ids(2),
        ]

    assert values(1) == values(1)
    assert values(1) != values(2)


class GivenClock(VirtualClock):
    """Shows the moments that it is given, one after the other."""

    def __init__(self, moments: list[datetime]) -> None:
        super().__init__()
        self._moments = iter(moments)

    def now(self) -> datetime:
        return next(self._moments)


def unix_ms(one: UUID) -> int:
    return one.int >> 80


def shown(moments: list[datetime], bits: list[int] | None = None) -> list[UUID]:
    chance = iter(bits or [])
    ids = OrderedIds(GivenClock(moments), lambda count: next(chance, 0) & (1 << count) - 1)
    return [ids.next() for _ in moments]


def test_id_tells_its_time() -> None:
    [one] = shown([NOON])
    assert unix_ms(one) == NOON.timestamp() * 1000


@given(
    st.lists(st.timedeltas(-HOUR, HOUR), min_size=1, max_size=50),
    st.lists(st.integers(0, (1 << 80) - 1), max_size=100),
)
def test_ids_ascend_whatever_the_clock_and_chance_do(spans: list[timedelta], bits: list[int]) -> None:
    ids = shown([NOON + span for span in spans], bits)
    assert all(before < after for before, after in pairwise(ids))


def test_clock_that_is_set_back_does_not_set_the_time_of_ids_back() -> None:
    first, second, third = shown([NOON, NOON - HOUR, NOON + SECOND])
    assert unix_ms(first) == unix_ms(second)
    assert unix_ms(third) == unix_ms(first) + 1000


def test_ids_of_one_millisecond_can_not_be_told_from_one_another() -> None:
    ids = OrderedIds(VirtualClock(), SystemRandomness(SystemClock()).bits)
    made = [ids.next().int for _ in range(200)]
    assert len({after - before for before, after in pairwise(made)}) > 190


def test_millisecond_that_is_used_up_borrows_the_next() -> None:
    largest = (1 << 74) - 1
    ids = shown([NOON] * 300, [largest] * 1_000)
    assert all(before < after for before, after in pairwise(ids))
    # Half of a millisecond's room, in steps of up to 32 bits: it lasts for more than can be made.
    assert unix_ms(ids[-1]) == unix_ms(ids[0])
    tight = OrderedIds(GivenClock([NOON] * 3), lambda count: (1 << count) - 1)
    first = tight.next()
    tight._tail = largest
    borrowed = tight.next()
    assert unix_ms(borrowed) == unix_ms(first) + 1
    assert unix_ms(tight.next()) == unix_ms(borrowed)


def test_threads_get_ids_of_their_own() -> None:
    ids = OrderedIds(SystemClock(), SystemRandomness(SystemClock()).bits)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: ids.next(), range(2_000)))
    assert len(set(made)) == 2_000
