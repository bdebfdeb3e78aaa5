"""The store's clock, read on this machine."""

from datetime import datetime, timedelta

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.pipeline.store_time import StoreTime
from tests.builders import HOUR, SECOND


class WrongClock(VirtualClock):
    """Its date is off; the spans that it measures are right."""

    off_by = 5 * HOUR

    def now(self) -> datetime:
        return super().now() + self.off_by


def test_until_the_store_was_heard_this_machine_is_believed() -> None:
    clock = VirtualClock()
    time = StoreTime(clock)
    clock.advance(HOUR)
    assert time.now() == clock.now()


def test_store_is_believed_and_spans_are_measured_here() -> None:
    clock = WrongClock()
    time = StoreTime(clock)
    at = clock.now() - WrongClock.off_by
    time.learn(at)
    assert time.now() == at
    clock.advance(90 * SECOND)
    assert time.now() == at + 90 * SECOND


def test_clock_of_this_machine_may_jump() -> None:
    clock = WrongClock()
    time = StoreTime(clock)
    before = time.now()
    clock.off_by = -HOUR
    assert time.now() == before
    clock.advance(SECOND)
    assert time.now() == before + SECOND


def test_newest_word_of_the_store_counts() -> None:
    clock = VirtualClock()
    time = StoreTime(clock)
    at = clock.now()
    for span in (HOUR, -HOUR, timedelta(0)):
        time.learn(at + span)
        assert time.now() == at + span


def test_an_answer_that_was_long_on_its_way_does_not_set_time_back() -> None:
    clock = WrongClock()
    time = StoreTime(clock)
    asked_at = clock.monotonic()
    at = clock.now() - WrongClock.off_by
    clock.advance(HOUR)
    time.learn(at, asked_at=asked_at)
    assert time.now() == at, "the first word counts: this machine's clock may be wrong"
    time.learn(at + HOUR)
    for late in (HOUR, SECOND, timedelta(0)):
        time.learn(at + HOUR - late, asked_at=asked_at)
        assert time.now() == at + HOUR
    time.learn(at - SECOND, asked_at=asked_at)
    assert time.now() == at - SECOND, "which nothing but a clock that was set back explains"
    time.learn(at + SECOND, asked_at=asked_at)
    assert time.now() == at + SECOND


def test_what_has_come_to_pass_is_past() -> None:
    clock = VirtualClock()
    time = StoreTime(clock)
    at = clock.now()
    time.learn(at - HOUR)
    time.reached(at)
    assert time.now() == at
    clock.advance(SECOND)
    assert time.now() == at + SECOND
    time.reached(at)
    assert time.now() == at + SECOND


def test_the_first_word_counts_however_long_it_was_on_its_way() -> None:
    """This machine's clock may be wrong by less than that."""
    clock = WrongClock()
    clock.off_by = SECOND
    time = StoreTime(clock)
    asked_at = clock.monotonic()
    clock.advance(HOUR)
    at = clock.now() - clock.off_by
    time.learn(at, asked_at=asked_at)
    assert time.now() == at


def test_clock_that_was_set_back_by_more_than_an_answer_takes_is_believed() -> None:
    clock = VirtualClock()
    clock.advance(HOUR)
    time = StoreTime(clock)
    time.learn(clock.now())
    asked_at = clock.monotonic()
    clock.advance(SECOND)
    at = clock.now() - 2 * SECOND
    time.learn(at, asked_at=asked_at)
    assert time.now() == at
