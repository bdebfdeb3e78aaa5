"""Pauses between attempts to reach something that is away."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schedora.application.backoff import Backoff

FIRST, LONGEST = timedelta(milliseconds=100), timedelta(seconds=5)


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(lambda: 1.0, first=FIRST, longest=LONGEST)
    pauses = [backoff.next() for _ in range(8)]
    assert pauses == [FIRST * factor for factor in (1, 2, 4, 8, 16, 32, 50, 50)]


def test_reset_begins_anew() -> None:
    backoff = Backoff(lambda: 1.0, first=FIRST, longest=LONGEST)
    backoff.next()
    backoff.next()
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [FIRST, FIRST * 2]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=80))
def test_chance_spreads_each_pause_over_its_upper_half(units: list[float]) -> None:
    chance = iter(units)
    backoff = Backoff(lambda: next(chance), first=FIRST, longest=LONGEST)
    full = [min(FIRST * 2**n, LONGEST) for n in range(len(units))]
    pauses = [backoff.next() for _ in units]
    assert all(whole / 2 <= pause <= whole for pause, whole in zip(pauses, full, strict=True))
    assert all(before <= after for before, after in pairwise(full))
