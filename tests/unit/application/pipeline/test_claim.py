"""How many jobs to ask for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.application.pipeline.claim import BUFFER_MAX, HORIZON, PrefetchSizer

spans = st.timedeltas(timedelta(0), timedelta(days=1))


def after(*milliseconds: float, slots: int = 10) -> PrefetchSizer:
    prefetch_sizer = PrefetchSizer(slots)
    prefetch_sizer.learn(timedelta(milliseconds=span) for span in milliseconds)
    return prefetch_sizer


def test_nothing_is_held_ahead_before_it_is_known_how_long_jobs_take() -> None:
    assert after().buffer_target == 0
    assert after().want(free_slots=4, buffered=0) == 4
    assert after().want(free_slots=0, buffered=0) == 0


@pytest.mark.parametrize(("each", "target"), [(50, 10), (25, 20), (5, 100), (500, 1), (501, 0)])
def test_buffer_is_what_the_slots_finish_within_the_horizon(each: float, target: int) -> None:
    assert after(each).buffer_target == target


@pytest.mark.parametrize("each", [0, 0.001])
def test_buffer_has_a_bound_however_short_jobs_are(each: float) -> None:
    assert after(each).buffer_target == BUFFER_MAX
    assert after(each, slots=1).buffer_target == BUFFER_MAX


def test_one_long_job_counts_at_once_and_short_ones_by_and_by() -> None:
    prefetch_sizer = after(1, 1, 1, 60_000)
    assert prefetch_sizer.buffer_target == 0
    targets = []
    for _ in range(60):
        prefetch_sizer.learn([timedelta(milliseconds=1)])
        targets.append(prefetch_sizer.buffer_target)
    assert targets == sorted(targets)
    assert targets[20] == 0
    assert targets[-1] > 400


def test_buffer_is_filled_again_once_half_of_it_is_gone() -> None:
    prefetch_sizer = after(5)  # 100 in the buffer
    assert prefetch_sizer.want(free_slots=0, buffered=100) == 0
    assert prefetch_sizer.want(free_slots=0, buffered=51) == 0
    assert prefetch_sizer.want(free_slots=0, buffered=50) == 50
    assert prefetch_sizer.want(free_slots=3, buffered=0) == 103


@given(st.lists(spans), st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 2000))
def test_never_more_is_wanted_than_there_is_room_for(
    durations: list[timedelta], slots: int, free: int, buffered: int
) -> None:
    prefetch_sizer = PrefetchSizer(slots)
    prefetch_sizer.learn(durations)
    assert 0 <= prefetch_sizer.buffer_target <= BUFFER_MAX
    want = prefetch_sizer.want(free_slots=free, buffered=buffered)
    assert want == 0 or want + buffered <= free + prefetch_sizer.buffer_target
    if durations and min(durations) > HORIZON * slots:
        assert prefetch_sizer.buffer_target == 0
