"""A thread that works beside others takes little but what they leave."""

import time
from typing import NamedTuple

import psutil
import pytest

from schedora.adapters.telemetry.cpu_throttle import SHARE, Machine, Moment, pause_seconds

RESTED = Moment(0.0, 0.0, 0.0)


def share(
    *, before: float, meanwhile: float, resting: float = 1.0, away: float = 0.0, machine_spare: float = 1.0
) -> float:
    """The part of the time that a thread takes that works for 0.01 s and then pauses, beside others who had so much of
    the processor, by the second, ``before`` and ``meanwhile``; ``away`` is how long it waited for a collector.
    """
    began = Moment(resting, 0.0, before * resting)
    others = began.others + meanwhile * 0.008
    worked = Moment(began.clock + 0.008, 0.008, others)
    ended = Moment(worked.clock + away + 0.002, 0.01, others + before * away)
    pause = pause_seconds(rested=RESTED, began=began, worked=worked, ended=ended, machine_spare=machine_spare)
    assert pause >= 0
    return 0.01 / (0.01 + pause)


def test_of_what_nobody_wants_it_takes_half() -> None:
    assert share(before=0, meanwhile=0) == pytest.approx(0.5)
    assert share(before=0, meanwhile=0, away=60) == pytest.approx(0.5)


@pytest.mark.parametrize(("before", "meanwhile"), [(1, 1), (1, 0.3), (0.2, 0.5), (0.4, 9), (1.7, 1)])
def test_where_others_want_all_it_takes_its_share(before: float, meanwhile: float) -> None:
    assert share(before=before, meanwhile=meanwhile) == pytest.approx(SHARE)


def test_in_between_it_takes_half_of_what_is_left() -> None:
    assert share(before=0.4, meanwhile=0.1) == pytest.approx(0.3)
    assert share(before=0.1, meanwhile=0.2) == pytest.approx(0.3)


def test_a_wait_for_the_collector_says_nothing_of_the_others() -> None:
    assert share(before=0.2, meanwhile=0.1, away=60) == pytest.approx(0.4)


def test_where_the_machine_has_no_time_to_spare_it_takes_its_share_whatever_the_process_leaves() -> None:
    assert share(before=0, meanwhile=0, machine_spare=0) == pytest.approx(SHARE)
    assert share(before=0.2, meanwhile=0.1, machine_spare=0.3) == pytest.approx(0.15)
    assert share(before=1, meanwhile=1, machine_spare=1) == pytest.approx(SHARE)


class Stat(NamedTuple):
    user: float
    idle: float


@pytest.mark.parametrize(("idle", "spare"), [(0.0, 0.0), (0.5, 0.25), (1.5, 0.75), (30.0, 1.0), (-1.0, 0.0)])
def test_what_a_machine_has_to_spare_is_what_was_idle_lately(
    monkeypatch: pytest.MonkeyPatch, idle: float, spare: float
) -> None:
    clock, told = [100.0], [Stat(5.0, 50.0)]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(psutil, "cpu_times", lambda: told[0])
    machine = Machine()
    clock[0], told[0] = 100.1, Stat(5.1, 50.0)
    assert machine.spare() == 1.0  # too early to tell
    clock[0], told[0] = 102.0, Stat(6.0, 50.0 + idle)
    assert machine.spare() == spare
    clock[0] = 102.1
    assert machine.spare() == spare


def test_a_machine_that_does_not_tell_counts_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(psutil, "cpu_times", lambda: Stat(0.0, 0.0))
    machine = Machine()
    clock[0] = 200.0
    assert machine.spare() == 1.0


def test_without_rest_and_without_work_there_is_nothing_to_go_by() -> None:
    pause = pause_seconds(rested=RESTED, began=RESTED, worked=RESTED, ended=RESTED, machine_spare=1)
    assert pause == 0


def test_time_is_told_by_thread_and_process() -> None:
    first = Moment.now()
    second = Moment.now()
    assert second.clock >= first.clock
    assert second.own >= first.own > 0
