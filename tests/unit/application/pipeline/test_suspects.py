"""Who of the suspects may start, and when."""

from datetime import timedelta

import pytest

from schedora.application.pipeline.suspects import Suspects
from schedora.domain.claimed_job import ClaimedJob
from tests.builders import HOUR, NOON, a_claimed_job, a_lease_id

EARLY, LATE = timedelta(seconds=1), timedelta(seconds=2)


def a_suspect(worker_deaths: int = 1) -> ClaimedJob:
    return a_claimed_job(lease_id=a_lease_id(), started_at=None, suspect=True, worker_deaths=worker_deaths)


@pytest.fixture
def suspects() -> Suspects:
    return Suspects(worker_deaths_max=3)


def added(suspects: Suspects, *jobs: ClaimedJob) -> list[ClaimedJob]:
    for job in jobs:
        suspects.add(job, EARLY)
    return list(jobs)


def test_as_many_are_called_as_there_are_slots_and_stay_called(suspects: Suspects) -> None:
    jobs = added(suspects, *(a_suspect() for _ in range(3)))
    assert suspects.call(2, []) == jobs[:2]
    assert suspects.called == 2
    assert suspects.call(0, []) == jobs[:2]


def test_a_start_is_to_be_recorded_as_it_was_the_first_time(suspects: Suspects) -> None:
    [job] = added(suspects, a_suspect())
    assert suspects.start_of(job.lease_id, NOON) == NOON
    assert suspects.start_of(job.lease_id, NOON + HOUR) == NOON, "the store may have heard of it"
    suspects.take(job.lease_id)
    assert suspects.start_of(job.lease_id, NOON + HOUR) == NOON + HOUR


def test_those_on_their_last_chance_are_called_one_by_one(suspects: Suspects) -> None:
    first, second, third = added(suspects, a_suspect(2), a_suspect(2), a_suspect(1))
    assert suspects.call(10, []) == [first, third]
    assert suspects.take(first.lease_id) == first
    assert suspects.take(third.lease_id) == third
    assert suspects.call(10, [first]) == []
    assert suspects.call(10, [third]) == [second]


def test_while_one_on_its_last_chance_is_called_no_other_is(suspects: Suspects) -> None:
    first, second = added(suspects, a_suspect(2), a_suspect(2))
    assert suspects.call(10, []) == [first]
    assert suspects.call(10, []) == [first], "its start is yet to be recorded"
    assert suspects.take(first.lease_id) == first
    assert suspects.call(10, []) == [second]


def test_who_was_called_beside_those_on_their_last_chance_changes_nothing(suspects: Suspects) -> None:
    chance, other, second = added(suspects, a_suspect(2), a_suspect(1), a_suspect(2))
    for _ in range(2):
        assert suspects.call(10, []) == [chance, other]
    assert suspects.leases == {chance.lease_id, other.lease_id, second.lease_id}


def test_one_that_died_often_but_is_no_suspect_is_not_at_stake(suspects: Suspects) -> None:
    [job] = added(suspects, a_suspect(2))
    assert suspects.call(1, [a_claimed_job(worker_deaths=0)]) == [job]


def test_what_has_no_slot_for_long_is_given_out(suspects: Suspects) -> None:
    called, early = added(suspects, a_suspect(), a_suspect())
    late = a_suspect()
    suspects.add(late, LATE)
    suspects.call(1, [])
    assert suspects.oldest == EARLY
    assert suspects.take_waiting_since(EARLY) == [early]
    assert suspects.oldest == LATE
    assert suspects.leases == {called.lease_id, late.lease_id}


def test_what_is_not_here_is_none(suspects: Suspects) -> None:
    assert suspects.take(a_lease_id()) is None
    assert suspects.oldest is None


def test_all_are_given_out_called_or_not(suspects: Suspects) -> None:
    jobs = added(suspects, a_suspect(), a_suspect())
    suspects.call(1, [])
    assert suspects.take_all() == jobs
    assert (len(suspects), suspects.called) == (0, 0)
