"""A thread that works beside others takes little but what they leave."""

import pytest

from schedora.adapters.telemetry.courtesy import SHARE, Moment, pause_seconds

RESTED = Moment(0.0, 0.0, 0.0)


def share(*, before: float, meanwhile: float, resting: float = 1.0, away: float = 0.0) -> float:
    """The part of the time that a thread takes that works for 0.01 s and then pauses, beside others who had so much of
    the processor, by the second, ``before`` and ``meanwhile``; ``away`` is how long it waited for a collector.
    """
    began = Moment(resting, 0.0, before * resting)
    others = began.others + meanwhile * 0.008
    worked = Moment(began.clock + 0.008, 0.008, others)
    ended = Moment(worked.clock + away + 0.002, 0.01, others + before * away)
    pause = pause_seconds(rested=RESTED, began=began, worked=worked, ended=ended)
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


def test_without_rest_and_without_work_there_is_nothing_to_go_by() -> None:
    assert pause_seconds(rested=RESTED, began=RESTED, worked=RESTED, ended=RESTED) == 0


def test_time_is_told_by_thread_and_process() -> None:
    first = Moment.now()
    second = Moment.now()
    assert second.clock >= first.clock
    assert second.own >= first.own > 0
