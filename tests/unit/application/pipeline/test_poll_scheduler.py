"""When to look for jobs."""

from datetime import timedelta

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.pipeline.poll_scheduler import PollPolicy, PollScheduler
from tests.builders import SECOND

POLICY = PollPolicy()
INTERVAL = POLICY.poll
NOW = timedelta(0)


class Chance(SeededRandomness):
    """Always the same."""

    def unit(self) -> float:
        return 0.5  # in the middle: an interval is itself, who holds back does so for half of the longest


class Watch:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.poll_scheduler = PollScheduler(clock=self.clock, randomness=Chance(1, self.clock))
        self.hints_arrive = True

    def look(
        self, found: int = 0, *, overdue: int = 0, more: bool = False, due_in: timedelta | None = None
    ) -> int:
        self.poll_scheduler.looking()
        return self.looked(found, overdue=overdue, more=more, due_in=due_in)

    def looked(
        self, found: int = 0, *, overdue: int = 0, more: bool = False, due_in: timedelta | None = None
    ) -> int:
        return self.poll_scheduler.looked(
            hints_arrive=self.hints_arrive, found=found, overdue=overdue, more_likely=more, next_due_in=due_in
        )

    def told(self, *, later: bool = False, shared: bool = True) -> bool:
        return self.poll_scheduler.told(later=later, shared=shared)

    def rest(self) -> timedelta:
        """How long it is until the next look."""
        return self.poll_scheduler.next_at - self.clock.monotonic()

    def wait(self) -> timedelta:
        """Until the next look is due. How long that was."""
        span = max(self.rest(), NOW)
        self.clock.advance(span)
        return span


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_first_look_is_due_at_once(watch: Watch) -> None:
    assert watch.poll_scheduler.due


def test_nobody_has_to_look_in_place_of_one_that_was_told_nothing(watch: Watch) -> None:
    assert watch.poll_scheduler.unable() is False


def test_after_a_look_in_vain_the_interval_passes(watch: Watch) -> None:
    watch.look()
    assert not watch.poll_scheduler.due
    assert watch.poll_scheduler.next_at == INTERVAL
    watch.clock.advance(INTERVAL - timedelta(microseconds=1))
    assert not watch.poll_scheduler.due
    watch.clock.advance(timedelta(microseconds=1))
    assert watch.poll_scheduler.due


def test_intervals_are_spread() -> None:
    watch = Watch()
    poll_scheduler = PollScheduler(clock=watch.clock, randomness=SeededRandomness(1, watch.clock))
    watch.poll_scheduler = poll_scheduler
    for _ in range(10):
        watch.look()
    spans = []
    for _ in range(100):
        watch.look()
        spans.append(poll_scheduler.next_at)
    assert min(spans) >= 0.8 * POLICY.poll_longest
    assert max(spans) <= 1.2 * POLICY.poll_longest
    assert len(set(spans)) == 100


def test_looks_come_ever_more_rarely_while_hints_arrive(watch: Watch) -> None:
    rests = []
    for _ in range(5):
        watch.look()
        rests.append(watch.wait())
    assert rests == [POLICY.poll, 2 * POLICY.poll, 4 * POLICY.poll, POLICY.poll_longest, POLICY.poll_longest]


def test_looks_come_often_at_once_when_hints_do_not_arrive(watch: Watch) -> None:
    for _ in range(5):
        watch.look()
    watch.hints_arrive = False
    for _ in range(5):
        watch.look()
        assert watch.rest() == POLICY.poll_alone
    watch.hints_arrive = True
    watch.look()
    assert watch.rest() == POLICY.poll, "trust comes back by and by"


def test_looks_come_often_again_once_one_has_found_what_no_hint_told_of(watch: Watch) -> None:
    for _ in range(5):
        watch.look()
    watch.wait()
    assert watch.look(3, overdue=2) == 2
    assert watch.rest() == POLICY.poll


def test_hint_makes_a_look_due(watch: Watch) -> None:
    watch.look()
    watch.poll_scheduler.hint()
    assert watch.poll_scheduler.due
    watch.look()
    assert not watch.poll_scheduler.due


def test_hint_during_a_look_asks_for_another_one(watch: Watch) -> None:
    watch.poll_scheduler.looking()
    watch.poll_scheduler.hint()
    assert watch.looked(3, overdue=3) == 0
    assert watch.poll_scheduler.due


def test_full_hands_ask_for_another_look_at_once(watch: Watch) -> None:
    watch.look(found=5, more=True)
    assert watch.poll_scheduler.due


def test_job_that_falls_due_is_looked_for_then(watch: Watch) -> None:
    watch.look(due_in=SECOND)
    assert watch.poll_scheduler.next_at == SECOND
    watch.look(due_in=30 * SECOND)
    assert watch.poll_scheduler.next_at == 2 * INTERVAL, "the interval is shorter"
    watch.poll_scheduler.due_at(2 * SECOND)
    assert watch.poll_scheduler.next_at == 2 * SECOND
    watch.poll_scheduler.due_at(4 * SECOND)
    assert watch.poll_scheduler.next_at == 2 * SECOND


def test_moment_that_becomes_known_during_a_look_is_kept(watch: Watch) -> None:
    watch.poll_scheduler.looking()
    watch.poll_scheduler.due_at(SECOND)
    watch.looked()
    assert watch.poll_scheduler.next_at == SECOND


@pytest.mark.parametrize("due_in", [timedelta(0), -SECOND])
def test_job_that_is_due_and_not_found_is_looked_for_in_ever_longer_steps(
    watch: Watch, due_in: timedelta
) -> None:
    pauses = []
    for _ in range(12):
        watch.look(due_in=due_in)
        pauses.append(watch.rest())
    assert pauses == sorted(pauses)
    three_quarters = 0.75  # of 5 ms at first, and of 250 ms at last
    assert pauses[0] == three_quarters * timedelta(milliseconds=5)
    assert pauses[-1] == three_quarters * timedelta(milliseconds=250)
    watch.look(found=1, due_in=due_in)
    assert watch.rest() == pauses[0]


def test_jobs_that_only_the_interval_found_are_told_of(watch: Watch) -> None:
    watch.look()
    watch.wait()
    assert watch.look(found=3, overdue=2) == 2
    watch.wait()
    assert watch.look(found=3) == 0, "their hint may be on its way"
    watch.wait()
    assert watch.look() == 0


def test_jobs_found_while_no_hint_was_to_be_expected_are_not_missed(watch: Watch) -> None:
    watch.look()
    watch.hints_arrive = False
    watch.wait()
    assert watch.look(found=1, overdue=1) == 0


def test_jobs_that_a_hint_told_of_or_that_fell_due_were_expected(watch: Watch) -> None:
    assert watch.look(found=1, overdue=1) == 0, "the first look"
    watch.poll_scheduler.hint()
    assert watch.look(found=1, overdue=1) == 0
    watch.told()
    assert watch.look(found=1, overdue=1) == 0
    watch.look(found=1, more=True)
    assert watch.look(found=1, overdue=1) == 0, "more was likely"
    watch.poll_scheduler.due_at(watch.clock.monotonic() + SECOND)
    watch.clock.advance(SECOND)
    assert watch.look(found=1, overdue=1) == 0


def test_jobs_that_were_claimed_by_others_for_a_moment_were_not_missed(watch: Watch) -> None:
    watch.look(found=1)
    watch.wait()
    watch.look(due_in=NOW)
    watch.wait()
    assert watch.look(found=1, overdue=1) == 0


def test_jobs_that_a_hint_told_of_while_others_went_first_were_not_missed(watch: Watch) -> None:
    for _ in range(3):
        watch.told()
        watch.wait()
        watch.look()
    watch.told()
    assert not watch.poll_scheduler.due
    watch.wait()
    assert watch.look(found=1, overdue=1) == 0


def test_jobs_that_were_told_of_during_the_look_were_not_missed(watch: Watch) -> None:
    watch.look(found=1)
    watch.wait()
    watch.poll_scheduler.looking()
    watch.poll_scheduler.hint()
    assert watch.looked(found=1, overdue=1) == 0


def test_jobs_that_waited_for_room_were_not_missed(watch: Watch) -> None:
    watch.look(found=1)
    assert watch.poll_scheduler.unable() is False
    watch.wait()
    assert watch.look(found=1, overdue=1) == 0


def test_who_looks_in_vain_lets_others_go_first_ever_longer(watch: Watch) -> None:
    watch.look()
    waits = []
    for _ in range(12):
        watch.told()
        waits.append(NOW if watch.poll_scheduler.due else watch.wait())
        watch.look()
    assert waits[:4] == [NOW, POLICY.hold_back / 2, POLICY.hold_back, POLICY.hold_back * 2]
    assert waits[-1] == waits[-2] == POLICY.hold_back_longest / 2
    watch.look(found=1)
    watch.told()
    assert watch.poll_scheduler.due, "and comes first again once it has found something"


def test_who_finds_something_after_it_let_others_go_first_does_so_for_less_long(watch: Watch) -> None:
    for _ in range(12):
        watch.told()
        watch.wait()
        watch.look()
    waits = []
    for _ in range(5):
        watch.told()
        waits.append(NOW if watch.poll_scheduler.due else watch.wait())
        watch.look(found=1)
    longest = POLICY.hold_back_longest / 2
    assert waits == [longest, longest / 4, longest / 16, longest / 64, NOW]


def test_the_shortest_that_others_go_first_is_as_long_as_at_first(watch: Watch) -> None:
    while watch.poll_scheduler.due or watch.rest() < 2 * POLICY.hold_back:  # which is half of what it may be
        watch.look()
        watch.told()
    watch.wait()
    watch.look(found=1)
    watch.told()
    assert watch.wait() == POLICY.hold_back / 2


def test_others_go_first_once_and_not_anew_with_each_hint(watch: Watch) -> None:
    watch.look()
    for _ in range(9):
        watch.told()
        watch.wait()
        watch.look()
    assert watch.told()
    moment = watch.poll_scheduler.next_at
    watch.clock.advance(timedelta(milliseconds=20))
    assert not watch.told(), "which changes nothing"
    assert watch.poll_scheduler.next_at == moment


@pytest.mark.parametrize("put_off", [True, False])
def test_hint_during_a_look_is_followed_up_though_others_go_first(watch: Watch, put_off: bool) -> None:
    watch.look()
    for _ in range(3):
        watch.told()
        watch.wait()
        watch.look()
    if put_off:
        watch.told()
        watch.wait()
    watch.poll_scheduler.looking()
    assert watch.told()
    watch.looked()
    assert watch.wait() <= POLICY.hold_back_longest
    assert watch.look(found=1, overdue=1) == 0, "it was told"
    assert watch.told(), "and hears on"


def test_who_alone_was_told_lets_nobody_go_first(watch: Watch) -> None:
    watch.look()
    for _ in range(3):
        watch.told()
        watch.wait()
        watch.look()
    watch.told(shared=False)
    assert watch.poll_scheduler.due
    for _ in range(9):
        watch.look()
        watch.told(shared=False)
        assert watch.poll_scheduler.due, "that there was nothing for it says nothing of others"


def test_what_is_due_later_says_nothing_of_others(watch: Watch) -> None:
    for _ in range(9):
        watch.look()
        watch.told(later=True)
        assert watch.poll_scheduler.due


def test_others_go_first_a_little_where_the_moment_was_known(watch: Watch) -> None:
    watch.look(due_in=SECOND)
    assert watch.wait() == SECOND
    watch.look(due_in=SECOND)
    assert watch.wait() == SECOND + POLICY.hold_back / 2
    for _ in range(12):
        watch.look(due_in=SECOND)
        watch.wait()
    watch.look(due_in=SECOND)
    assert watch.wait() == SECOND + POLICY.hold_back_due / 2
    watch.look(found=1, due_in=SECOND)
    assert watch.wait() == SECOND


def test_what_it_alone_was_told_is_somebody_elses_once_it_is_unable(watch: Watch) -> None:
    watch.look()
    watch.told(shared=True)
    assert watch.poll_scheduler.unable() is False, "others were told as well"
    watch.told(shared=False)
    assert watch.poll_scheduler.unable() is True
    assert watch.poll_scheduler.unable() is False, "once"
    assert watch.poll_scheduler.due, "it looks all the same, as soon as it can"
    watch.told(shared=False)
    watch.look()
    assert watch.poll_scheduler.unable() is False, "it has looked"


def test_what_falls_due_while_it_is_unable_is_somebody_elses(watch: Watch) -> None:
    watch.look(due_in=SECOND)
    assert watch.poll_scheduler.expected_at == SECOND
    assert watch.poll_scheduler.unable() is False
    watch.clock.advance(SECOND)
    assert watch.poll_scheduler.unable() is True
    assert watch.poll_scheduler.unable() is False
    assert watch.poll_scheduler.expected_at is None
