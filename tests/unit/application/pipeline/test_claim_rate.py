"""How many jobs a second a worker takes, by what was read before."""

from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.pipeline.claim_rate import SPACING, SPAN, ClaimRate
from tests.builders import SECOND


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def rate(clock: VirtualClock) -> ClaimRate:
    return ClaimRate(clock)


def test_it_is_too_early_to_say(clock: VirtualClock, rate: ClaimRate) -> None:
    rate.count(100)
    assert rate.per_second() is None
    clock.advance(SPACING - timedelta(microseconds=1))
    assert rate.per_second() is None
    clock.advance(timedelta(microseconds=1))
    assert rate.per_second() == 100


def test_nothing_taken_is_a_rate_too(clock: VirtualClock, rate: ClaimRate) -> None:
    clock.advance(5 * SECOND)
    assert rate.per_second() == 0


def test_batches_add_up(clock: VirtualClock, rate: ClaimRate) -> None:
    for _ in range(4):
        rate.count(10)
        clock.advance(SECOND)
    assert rate.per_second() == 10


def test_what_is_long_ago_does_not_count(clock: VirtualClock, rate: ClaimRate) -> None:
    rate.count(1_000)
    for _ in range(3):
        clock.advance(5 * SECOND)
        rate.per_second()
        rate.count(5)
    assert rate.per_second() == 15 / 10, "since the reading that is at least ten seconds old"


def test_a_reading_is_remembered_as_soon_as_it_says_something(clock: VirtualClock, rate: ClaimRate) -> None:
    rate.count(10)
    clock.advance(SPACING)
    assert rate.per_second() == 10
    clock.advance(SPAN)
    assert rate.per_second() == 0, "since then"


def test_after_a_long_time_without_readings_all_of_it_counts(clock: VirtualClock, rate: ClaimRate) -> None:
    rate.count(100)
    clock.advance(100 * SECOND)
    assert rate.per_second() == 1
    clock.advance(SPAN)
    assert rate.per_second() == 0


def test_many_readings_are_not_remembered(clock: VirtualClock, rate: ClaimRate) -> None:
    for _ in range(10_000):
        clock.advance(timedelta(milliseconds=10))
        rate.count(1)
        rate.per_second()
    assert rate.per_second() == pytest.approx(100)
    assert len(rate._readings) <= SPAN / SPACING + 2
