"""Statements that notify as they commit are as rare as they are slow."""

import pytest
from attrs import define

from schedora.adapters.postgres.duty_cycle_limiter import DutyCycleLimiter


@define
class Watch:
    """A clock that goes by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def duty_cycle_limiter(watch: Watch) -> DutyCycleLimiter:
    return DutyCycleLimiter(watch, rest=4)


def test_the_first_is_due_at_once(duty_cycle_limiter: DutyCycleLimiter) -> None:
    assert duty_cycle_limiter.due


def test_the_next_is_due_after_so_many_times_what_the_last_took(
    duty_cycle_limiter: DutyCycleLimiter, watch: Watch
) -> None:
    with duty_cycle_limiter.spent():
        watch.now += 2
    assert not duty_cycle_limiter.due
    watch.now += 7.5
    assert not duty_cycle_limiter.due
    watch.now += 0.5
    assert duty_cycle_limiter.due


def test_none_is_due_while_one_is_under_way(duty_cycle_limiter: DutyCycleLimiter, watch: Watch) -> None:
    with duty_cycle_limiter.spent():
        watch.now += 1_000_000
        assert not duty_cycle_limiter.due
    assert not duty_cycle_limiter.due


def test_what_takes_no_time_is_due_again_at_once(duty_cycle_limiter: DutyCycleLimiter) -> None:
    for _ in range(3):
        with duty_cycle_limiter.spent():
            pass
        assert duty_cycle_limiter.due


def test_one_that_goes_wrong_has_taken_its_time(duty_cycle_limiter: DutyCycleLimiter, watch: Watch) -> None:
    def go_wrong() -> None:
        with duty_cycle_limiter.spent():
            watch.now += 1
            raise ValueError

    with pytest.raises(ValueError):
        go_wrong()
    assert not duty_cycle_limiter.due
    watch.now += 4
    assert duty_cycle_limiter.due


def test_one_may_be_followed_by_more_rest_than_its_own(
    duty_cycle_limiter: DutyCycleLimiter, watch: Watch
) -> None:
    with duty_cycle_limiter.spent():
        watch.now += 1
    duty_cycle_limiter.rest(10)
    watch.now += 9.5
    assert not duty_cycle_limiter.due
    watch.now += 0.5
    assert duty_cycle_limiter.due


def test_and_not_by_less(duty_cycle_limiter: DutyCycleLimiter, watch: Watch) -> None:
    with duty_cycle_limiter.spent():
        watch.now += 1
    duty_cycle_limiter.rest(1)
    watch.now += 3.5
    assert not duty_cycle_limiter.due
    watch.now += 0.5
    assert duty_cycle_limiter.due


def test_rest_begins_now(duty_cycle_limiter: DutyCycleLimiter, watch: Watch) -> None:
    watch.now += 50
    duty_cycle_limiter.rest(1)
    assert not duty_cycle_limiter.due
    watch.now += 1
    assert duty_cycle_limiter.due
