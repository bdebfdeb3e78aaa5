"""Figures are worked out from records and from when faults struck."""

from datetime import timedelta

import attrs
import pytest

from schedora.domain.events import JobEvent
from schedora.domain.ids import WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora_torture.faults import Fault, FaultKind
from schedora_torture.measures import pick_up, quantile, recoveries, seconds, spread
from schedora_torture.strikes import Strike
from tests.builders import NOON, SECOND, a_job, a_job_id, a_request, a_workflow_id
from tests.unit.torture.evidences import a_done_job

S = JobState


def lost_and_again(lost_at: float, again_at: float) -> Job:
    """One that ran on w1 from the first second on, was lost, and succeeded on w2."""

    def move(at: float, to: JobState, worker: str, reason: str | None = None) -> JobEvent:
        return JobEvent(
            at=NOON + timedelta(seconds=at), from_state=S.PENDING, to_state=to, attempt=1,
            worker_id=WorkerId(worker), reason=reason,
        )  # fmt: skip

    history = (
        move(1, S.SCHEDULED, "w1"),
        move(1, S.RUNNING, "w1"),
        move(lost_at, S.FAILED, "w1", "worker_lost"),
        move(lost_at, S.RETRYING, "w1", "worker_lost"),
    )
    at = NOON + timedelta(seconds=again_at)
    return attrs.evolve(
        a_done_job(), history=history, worker_id=WorkerId("w2"), claimed_at=at, started_at=at,
        completed_at=at + SECOND,
    )  # fmt: skip


def struck(kind: FaultKind, began: float, ended: float, victim: str = "w1") -> Strike:
    fault = Fault(at_seconds=began, kind=kind, hold_seconds=ended - began)
    return Strike(fault=fault, began_seconds=began, ended_seconds=ended, victim=victim)


def test_pick_up_is_from_ready_to_the_first_claim() -> None:
    assert pick_up(a_done_job()) == (NOON, 1.0)
    later = attrs.evolve(a_request(), scheduled_at=NOON + SECOND / 2)
    assert pick_up(a_done_job(request=later)) == (NOON + SECOND / 2, 0.5)


def test_what_was_never_picked_up_or_depended_on_others_does_not_count() -> None:
    assert pick_up(a_job()) is None
    step = a_request(workflow_id=a_workflow_id(), depends_on=(a_job_id(),))
    assert pick_up(a_done_job(request=step)) is None


def test_each_second_tells_what_ended_and_how_long_what_became_ready_waited() -> None:
    told = seconds([a_done_job(), a_done_job()], NOON)
    assert [second.at for second in told] == [0, 1, 2, 3]
    assert (told[0].waits_ms, told[0].p50_ms, told[0].p99_ms) == ((1000.0, 1000.0), 1000.0, 1000.0)
    assert (told[1].waits_ms, told[1].p50_ms) == ((), None)
    assert [second.ended for second in told] == [0, 0, 0, 2]
    assert seconds([], NOON) == []


def test_a_lost_job_is_attributed_to_the_fault_during_which_it_was_lost() -> None:
    jobs = [lost_and_again(5, 6), lost_and_again(9, 9.5)]
    first, second, other = recoveries(
        [
            struck(FaultKind.KILL_WORKER, 8, 9),
            struck(FaultKind.FREEZE_WORKER, 2, 7),
            struck(FaultKind.CUT_DATABASE, 8.5, 9),
        ],
        jobs,
        NOON,
    )
    assert [one.strike.fault.kind for one in (first, second, other)] == [
        FaultKind.FREEZE_WORKER, FaultKind.KILL_WORKER, FaultKind.CUT_DATABASE,
    ]  # fmt: skip
    assert first.elsewhere_seconds == (4.0, 7.5)
    assert second.elsewhere_seconds == (1.5,)
    assert other.elsewhere_seconds == ()


def test_the_next_success_after_a_fault_is_the_first_done() -> None:
    jobs = [lost_and_again(5, 6), lost_and_again(5, 9)]
    crash, last = recoveries(
        [struck(FaultKind.CRASH_POSTGRES, 2, 7.5), struck(FaultKind.CRASH_POSTGRES, 11, 12)], jobs, NOON
    )
    assert (crash.first_done_seconds, last.first_done_seconds) == (2.5, None)


def test_spread_and_quantiles() -> None:
    assert spread([]) is None
    told = spread([3.0, 1.0, 2.0])
    assert told is not None
    assert (told.amount, told.median, told.largest) == (3, 2.0, 3.0)
    hundred = [float(number) for number in range(1, 101)]
    assert [quantile(hundred, q) for q in (0.0, 0.5, 0.99, 1.0)] == pytest.approx([1, 50, 99, 100])
