"""When to look for jobs."""

from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.pipeline.lookout import Lookout
from tests.builders import SECOND

INTERVAL = 10 * SECOND
NOW = timedelta(0)


class Chance(SeededRandomness):
    """Always the same."""

    def unit(self) -> float:
        return 0.5  # in the middle: an interval is itself


class Watch:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.lookout = Lookout(clock=self.clock, randomness=Chance(1, self.clock))

    def look(self, found: int = 0, *, more: bool = False, due_in: timedelta | None = None) -> bool:
        self.lookout.looking()
        return self.lookout.looked(interval=INTERVAL, found=found, more_likely=more, next_due_in=due_in)


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_first_look_is_due_at_once(watch: Watch) -> None:
    assert watch.lookout.due


def test_after_a_look_in_vain_the_interval_passes(watch: Watch) -> None:
    watch.look()
    assert not watch.lookout.due
    assert watch.lookout.next_at == INTERVAL
    watch.clock.advance(INTERVAL - timedelta(microseconds=1))
    assert not watch.lookout.due
    watch.clock.advance(timedelta(microseconds=1))
    assert watch.lookout.due


def test_intervals_are_spread() -> None:
    watch = Watch()
    randomness = SeededRandomness(1, watch.clock)
    lookout = Lookout(clock=watch.clock, randomness=randomness)
    spans = []
    for _ in range(100):
        lookout.looking()
        lookout.looked(interval=INTERVAL, found=0, more_likely=False, next_due_in=None)
        spans.append(lookout.next_at)
    assert min(spans) >= 0.8 * INTERVAL
    assert max(spans) <= 1.2 * INTERVAL
    assert len(set(spans)) == 100


def test_hint_makes_a_look_due(watch: Watch) -> None:
    watch.look()
    watch.lookout.hint()
    assert watch.lookout.due
    watch.look()
    assert not watch.lookout.due


def test_hint_during_a_look_asks_for_another_one(watch: Watch) -> None:
    watch.lookout.looking()
    watch.lookout.hint()
    assert watch.lookout.looked(interval=INTERVAL, found=3, more_likely=False, next_due_in=None) is False
    assert watch.lookout.due


def test_full_hands_ask_for_another_look_at_once(watch: Watch) -> None:
    watch.look(found=5, more=True)
    assert watch.lookout.due


def test_job_that_falls_due_is_looked_for_then(watch: Watch) -> None:
    watch.look(due_in=3 * SECOND)
    assert watch.lookout.next_at == 3 * SECOND
    watch.look(due_in=30 * SECOND)
    assert watch.lookout.next_at == INTERVAL, "the interval is shorter"
    watch.lookout.due_at(2 * SECOND)
    assert watch.lookout.next_at == 2 * SECOND
    watch.lookout.due_at(4 * SECOND)
    assert watch.lookout.next_at == 2 * SECOND


@pytest.mark.parametrize("due_in", [timedelta(0), -SECOND])
def test_job_that_is_due_and_not_found_is_looked_for_in_ever_longer_steps(
    watch: Watch, due_in: timedelta
) -> None:
    pauses = []
    for _ in range(12):
        watch.look(due_in=due_in)
        pauses.append(watch.lookout.next_at - watch.clock.monotonic())
    assert pauses == sorted(pauses)
    assert timedelta(0) < pauses[0] < timedelta(milliseconds=10)
    assert timedelta(milliseconds=100) < pauses[-1] < timedelta(milliseconds=300)
    watch.look(found=1, due_in=due_in)
    assert watch.lookout.next_at - watch.clock.monotonic() == pauses[0]


def test_jobs_that_only_the_interval_found_are_told_of(watch: Watch) -> None:
    watch.look()
    watch.clock.advance(2 * INTERVAL)
    assert watch.look(found=2) is True
    watch.clock.advance(2 * INTERVAL)
    assert watch.look(found=0) is False


def test_jobs_that_a_hint_told_of_or_that_fell_due_were_expected(watch: Watch) -> None:
    assert watch.look(found=1) is False, "the first look"
    watch.lookout.hint()
    assert watch.look(found=1) is False
    watch.look(found=1, more=True)
    assert watch.look(found=1) is False, "more was likely"
    watch.lookout.due_at(watch.clock.monotonic() + SECOND)
    watch.clock.advance(SECOND)
    assert watch.look(found=1) is False
