"""Why a job does not run, from what is known of it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from schedora.diagnosis.why.explanation import OVERDUE_AFTER, OVERLOOKED_AFTER, STARTS_WITHIN, Silence, why
from schedora.diagnosis.why.inputs import ExplainInputs, LeaseHolder, QueuePosition, UnfinishedUpstream
from schedora.diagnosis.why.reason import BLOCKING, Reason, ReasonCode, Why
from schedora.domain.events import AttemptError, JobEvent
from schedora.domain.ids import WorkerId
from schedora.domain.job import UPSTREAM_FAILED
from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from tests.builders import HOUR, NOON, SECOND, a_job_id
from tests.unit.diagnosis.why.test_inputs import a_worker, some_inputs

S = JobState
MINUTE = 60 * SECOND
SILENCE = Silence(timeout=90 * SECOND)
W1, W2 = WorkerId("w1"), WorkerId("w2")
NOBODY_AHEAD = QueuePosition(ahead=0)


def asked(
    inputs: ExplainInputs, position: QueuePosition | None = NOBODY_AHEAD, silence: Silence = SILENCE
) -> Why:
    return why(inputs, position, silence)


def codes(answer: Why) -> list[str]:
    return [reason.code.value for reason in answer.reasons]


def only(answer: Why) -> Reason:
    [reason] = answer.reasons
    return reason


def a_cause(**fields: Any) -> UnfinishedUpstream:
    return UnfinishedUpstream(
        **{
            "job_id": a_job_id(),
            "type": "work",
            "key": "charge",
            "status": S.PENDING,
            "since": NOON,
            **fields,
        }
    )


def an_error(**fields: Any) -> AttemptError:
    return AttemptError(
        **{
            "attempt": 2,
            "at": NOON - MINUTE,
            "worker_id": W1,
            "kind": "Timeout",
            "message": "no answer",
            **fields,
        }
    )


def a_move(to_state: JobState, reason: str | None, from_state: JobState = S.PENDING) -> JobEvent:
    return JobEvent(at=NOON, from_state=from_state, to_state=to_state, attempt=1, reason=reason)


def a_holder(**fields: Any) -> LeaseHolder:
    return LeaseHolder(
        **{
            "worker_id": W2, "claimed_at": NOON - 42 * SECOND, "started_at": NOON - 41 * SECOND,
            "status": WorkerState.ACTIVE, "last_heartbeat": NOON - 3 * SECOND, "slots": 10, "running_jobs": 1, **fields,
        }
    )  # fmt: skip


def held(holder: LeaseHolder, **fields: Any) -> ExplainInputs:
    status = S.SCHEDULED if holder.started_at is None else S.RUNNING
    return some_inputs(**{"status": status, "holder": holder, "workers": (), "attempt": 2, **fields})


# What keeps every claim from taking it


def test_a_job_waits_for_others_and_it_is_told_what_those_do() -> None:
    running = a_cause(status=S.RUNNING, worker_id=W2, since=NOON - 41 * SECOND)
    answer = asked(some_inputs(waits_for=1, upstream=(running,)))
    assert not answer.ready
    assert answer.summary == "PENDING: waits for charge (RUNNING on w2 for 41 s)"
    reason = only(answer)
    assert (reason.code, reason.count, reason.jobs) == (ReasonCode.WAITS_FOR_JOBS, 1, (running,))


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (a_cause(key=None, type="pay", job_id="7"), "pay 7 (PENDING, due for 0 s)"),
        (a_cause(status=S.SCHEDULED, worker_id=W1, since=NOON - SECOND), "charge (SCHEDULED on w1 for 1 s)"),
        (a_cause(status=S.RETRYING, since=NOON + MINUTE), "charge (RETRYING, due in 60 s)"),
        (a_cause(since=NOON - HOUR), "charge (PENDING, due for 60 min)"),
        (a_cause(waits_for=2, since=NOON - HOUR), "charge (PENDING, waits for 2 jobs)"),
    ],
)
def test_each_cause_is_told_by_its_state(cause: UnfinishedUpstream, told: str) -> None:
    assert only(asked(some_inputs(waits_for=1, upstream=(cause,)))).message == f"waits for {told}"


def test_of_many_causes_some_are_told() -> None:
    causes = tuple(a_cause(key=f"c{n}") for n in range(5))
    reason = only(asked(some_inputs(waits_for=40, upstream=causes)))
    assert reason.message.startswith("waits for c0 (")
    assert reason.message.endswith(") and 37 more")
    assert (reason.count, len(reason.jobs)) == (40, 5)


def test_causes_that_are_not_to_be_found_are_counted() -> None:
    assert only(asked(some_inputs(waits_for=2))).message == "waits for 2 jobs"


def test_the_first_cause_of_all_is_told() -> None:
    near, root = a_cause(waits_for=1), a_cause(key="validate", status=S.RUNNING, worker_id=W1)
    reason = only(asked(some_inputs(waits_for=1, upstream=(near,), root=root)))
    assert reason.message == (
        "waits for charge (PENDING, waits for 1 job); in the end for validate (RUNNING on w1 for 0 s)"
    )
    assert reason.jobs == (near, root)


def test_a_way_that_is_too_long_to_be_followed_is_not_said_to_end() -> None:
    near, far = a_cause(waits_for=1), a_cause(key="far", waits_for=1)
    reason = only(asked(some_inputs(waits_for=1, upstream=(near,), root=far)))
    assert reason.message.endswith("; further on for far (PENDING, waits for 1 job)")
    due = a_cause(key="far")
    reason = only(asked(some_inputs(waits_for=1, upstream=(near,), root=due)))
    assert reason.message.endswith("; in the end for far (PENDING, due for 0 s)")
    unwanted = a_cause(key="far", waits_for=2, status=S.CANCELED)
    reason = only(asked(some_inputs(waits_for=1, upstream=(near,), root=unwanted)))
    assert reason.message.endswith("; in the end for far (CANCELED for 0 s)"), (
        "what it waited for is no matter"
    )


def test_a_job_is_due_later() -> None:
    answer = asked(some_inputs(scheduled_at=NOON + 12 * MINUTE))
    assert answer.summary == "PENDING: due in 12 min"
    reason = only(answer)
    assert (reason.code, reason.until, reason.eta_seconds) == (ReasonCode.DUE_LATER, NOON + 12 * MINUTE, 720)


def test_a_snoozed_job_tells_why() -> None:
    move = a_move(S.PENDING, "no stock yet", from_state=S.RUNNING)
    answer = asked(some_inputs(scheduled_at=NOON + HOUR, last_move=move))
    assert only(answer).message == "due in 60 min: no stock yet"
    requeued = a_move(S.PENDING, "requeued", from_state=S.DEAD)
    assert only(asked(some_inputs(scheduled_at=NOON + HOUR, last_move=requeued))).message == "due in 60 min"


def test_a_retry_tells_what_failed() -> None:
    answer = asked(some_inputs(status=S.RETRYING, scheduled_at=NOON + 40 * SECOND, last_error=an_error()))
    assert answer.summary == "RETRYING: retries in 40 s: attempt 2 failed with Timeout: no answer"
    reason = only(answer)
    assert reason == Reason(
        code=ReasonCode.RETRIES_LATER,
        message=reason.message,
        since=NOON - MINUTE,
        until=NOON + 40 * SECOND,
        eta_seconds=40,
        attempt=2,
        error_kind="Timeout",
        error_message="no answer",
    )


def test_a_retry_that_is_due_tells_what_failed_last() -> None:
    answer = asked(some_inputs(status=S.RETRYING, last_error=an_error()))
    assert codes(answer) == ["ready", "failed_before"]
    assert answer.reasons[1].message == "attempt 2 failed 60 s ago with Timeout: no answer"


def test_a_queue_is_paused() -> None:
    answer = asked(some_inputs(paused_at=NOON - HOUR))
    assert answer.summary == "PENDING: queue mail has been paused for 60 min"
    reason = only(answer)
    assert (reason.code, reason.queue, reason.since) == (ReasonCode.QUEUE_PAUSED, "mail", NOON - HOUR)


def test_no_worker_is_live() -> None:
    assert only(asked(some_inputs(workers=()))).message == "no worker is live"


def test_no_worker_knows_the_type() -> None:
    answer = asked(some_inputs(workers=(a_worker(knows_type=False),)))
    assert answer.summary == "PENDING: no live worker knows type work"
    assert (only(answer).code, only(answer).type) == (ReasonCode.TYPE_UNKNOWN, "work")


def test_no_worker_that_knows_the_type_serves_the_queue() -> None:
    workers = (a_worker(serves_queue=False), a_worker(worker_id=W2, knows_type=False))
    answer = asked(some_inputs(workers=workers))
    assert only(answer).message == ("w1 knows type work, but no live worker that does serves queue mail")
    reason = only(answer)
    assert (reason.code, reason.queue, reason.type, reason.worker_ids) == (
        ReasonCode.QUEUE_NOT_SERVED, "mail", "work", (W1,),
    )  # fmt: skip


def test_the_workers_that_could_run_it_drain() -> None:
    draining = a_worker(status=WorkerState.DRAINING)
    answer = asked(some_inputs(workers=(draining, a_worker(worker_id=W2, serves_queue=False))))
    assert only(answer).message == "w1, which could run it, drains"
    both = asked(some_inputs(workers=(draining, a_worker(status=WorkerState.DRAINING, worker_id=W2))))
    assert only(both).message == "w1 and w2, which could run it, drain"
    assert only(both).code is ReasonCode.WORKERS_DRAINING


def test_all_that_is_in_the_way_is_told() -> None:
    answer = asked(
        some_inputs(
            waits_for=1, scheduled_at=NOON + MINUTE, paused_at=NOON, workers=(), last_error=an_error()
        )
    )
    assert codes(answer) == ["waits_for_jobs", "due_later", "queue_paused", "no_workers", "failed_before"]
    assert answer.summary == (
        "PENDING: waits for 1 job; due in 60 s; queue mail has been paused for 0 s; no worker is live"
    )


def test_names_make_no_lines_of_their_own() -> None:
    answer = asked(
        some_inputs(type="a\nb", queue="c\u2028d", paused_at=NOON, workers=(a_worker(knows_type=False),))
    )
    assert answer.summary == "PENDING: queue c d has been paused for 0 s; no live worker knows type a b"
    assert [reason.queue or reason.type for reason in answer.reasons] == ["c\u2028d", "a\nb"]


# What stands between a job that is ready and its claim


def test_a_ready_job_tells_who_has_room() -> None:
    answer = asked(
        some_inputs(scheduled_at=NOON - SECOND, created_at=NOON - HOUR, workers=(a_worker(held_jobs=7),))
    )
    assert answer.ready
    assert answer.summary == "PENDING: ready for 1 s: w1 has 3 free slots"
    reason = only(answer)
    assert (reason.since, reason.slots, reason.count, reason.worker_ids) == (NOON - SECOND, 3, 1, (W1,))


@pytest.mark.parametrize(
    ("fields", "since"),
    [
        ({"released_at": NOON - SECOND}, NOON - SECOND),
        ({"last_move": a_move(S.PENDING, "drained", S.RUNNING)}, NOON),
    ],
)
def test_nobody_overlooks_a_job_that_is_old_and_became_ready_just_now(
    fields: dict[str, Any], since: datetime
) -> None:
    answer = asked(some_inputs(scheduled_at=NOON - HOUR, created_at=NOON - HOUR, **fields))
    assert only(answer).since == since
    assert "not claimed though" not in answer.summary


def test_a_ready_job_that_nobody_claims() -> None:
    since = NOON - OVERLOOKED_AFTER
    answer = asked(some_inputs(scheduled_at=since, created_at=since))
    assert answer.summary == "PENDING: ready for 15 s, and not claimed though w1 has 10 free slots"
    since += timedelta(microseconds=1)
    answer = asked(some_inputs(scheduled_at=since, created_at=since))
    assert answer.summary == "PENDING: ready for 14 s: w1 has 10 free slots"


def test_a_job_for_a_time_that_had_passed_is_ready_since_it_came() -> None:
    answer = asked(some_inputs(scheduled_at=NOON - HOUR, created_at=NOON - SECOND))
    assert only(answer).since == NOON - SECOND


def test_all_slots_are_taken() -> None:
    workers = (a_worker(held_jobs=12), a_worker(worker_id=W2, held_jobs=10))
    answer = asked(some_inputs(workers=(*workers, a_worker(worker_id=WorkerId("w3"), knows_type=False))))
    assert answer.ready
    assert answer.summary == "PENDING: all 20 slots of the 2 workers that could run it are taken: w1 and w2"
    assert codes(answer) == ["slots_taken", "ready"]
    assert (answer.reasons[0].slots, answer.reasons[0].count, answer.reasons[0].worker_ids) == (
        20,
        2,
        (W1, W2),
    )
    assert answer.reasons[1].message == "ready for 0 s"


def test_one_slot_is_taken() -> None:
    answer = asked(some_inputs(workers=(a_worker(slots=1, held_jobs=1),)))
    assert answer.reasons[0].message == "the slot of the worker that could run it is taken: w1"


def test_the_workers_that_could_run_it_are_silent() -> None:
    silent = [a_worker(last_heartbeat=NOON - span * SECOND) for span in (64, 80)]
    answer = asked(some_inputs(workers=tuple(silent)))
    assert answer.ready, "they may still claim"
    assert answer.summary == "PENDING: w1 and w1, which could run it, have been silent for 64 s"
    assert codes(answer) == ["workers_silent", "ready"]


def test_slots_of_a_silent_worker_are_no_room() -> None:
    silent = a_worker(last_heartbeat=NOON - MINUTE, worker_id=W2)
    answer = asked(some_inputs(workers=(a_worker(held_jobs=10), silent)))
    assert answer.reasons[0].message == "all 10 slots of the worker that could run it are taken: w1"


def test_a_worker_is_not_silent_before_half_of_the_timeout() -> None:
    beat = NOON - 45 * SECOND
    assert codes(asked(some_inputs(workers=(a_worker(last_heartbeat=beat),)))) == ["workers_silent", "ready"]
    beat += timedelta(microseconds=1)
    assert codes(asked(some_inputs(workers=(a_worker(last_heartbeat=beat),)))) == ["ready"]


def test_jobs_are_ahead() -> None:
    answer = asked(some_inputs(), QueuePosition(ahead=1_204))
    assert codes(answer) == ["jobs_ahead", "ready"]
    assert answer.summary == "PENDING: behind 1,204 jobs of higher priority or earlier time"
    reason = answer.reasons[0]
    assert (reason.count, reason.at_least, reason.per_second, reason.eta_seconds) == (
        1_204,
        False,
        None,
        None,
    )


def test_a_rate_tells_how_long_that_takes() -> None:
    reason = asked(some_inputs(), QueuePosition(ahead=1_200, claims_per_second=400)).reasons[0]
    assert reason.message.endswith("earlier time, about 3 s at the present rate")
    assert (reason.per_second, reason.eta_seconds) == (400, 3)
    reason = asked(some_inputs(), QueuePosition(ahead=100_000, at_least=True, claims_per_second=100)).reasons[
        0
    ]
    assert reason.message == (
        "behind more than 100,000 jobs of higher priority or earlier time, more than 16 min at the present rate"
    )
    assert reason.at_least
    soon = asked(some_inputs(), QueuePosition(ahead=7, claims_per_second=30_000)).reasons[0]
    assert soon.message.endswith("earlier time, about 0.1 s at the present rate")
    still = asked(some_inputs(), QueuePosition(ahead=7, claims_per_second=0.0)).reasons[0]
    assert still.message == "behind 7 jobs of higher priority or earlier time"
    assert still.eta_seconds is None


def test_jobs_ahead_that_could_not_be_counted() -> None:
    answer = asked(some_inputs(), None)
    assert answer.reasons[0].message == "how many jobs go first takes too long to count"
    assert answer.reasons[0].count is None


# Held


def test_a_running_job_tells_where_and_for_how_long() -> None:
    answer = asked(held(a_holder(), timeout=300 * SECOND))
    assert answer.summary == "RUNNING: has run on w2 for 41 s, attempt 2, heartbeat 3 s ago"
    assert not answer.ready
    reason = only(answer)
    assert (reason.since, reason.until) == (NOON - 41 * SECOND, NOON + 259 * SECOND)
    assert (reason.attempt, reason.worker_ids, reason.last_heartbeat) == (2, (W2,), NOON - 3 * SECOND)


def test_a_running_job_tells_what_failed_before() -> None:
    assert codes(asked(held(a_holder(), last_error=an_error()))) == ["running", "failed_before"]


def test_a_job_that_runs_over_its_timeout() -> None:
    timeout = 41 * SECOND - OVERDUE_AFTER
    assert codes(asked(held(a_holder(), timeout=timeout))) == ["running"]
    answer = asked(held(a_holder(), timeout=30 * SECOND))
    assert codes(answer) == ["overdue", "running"]
    assert answer.reasons[0].message == "its timeout of 30 s passed 11 s ago: its worker has not ended it"
    assert answer.reasons[0].since == NOON - 11 * SECOND


def test_a_claimed_job_waits_for_a_slot() -> None:
    answer = asked(held(a_holder(started_at=None, running_jobs=10)))
    assert answer.summary == "SCHEDULED: claimed by w2 42 s ago, waits for a slot: 10 of 10 are taken"
    reason = only(answer)
    assert (reason.code, reason.slots, reason.count) == (ReasonCode.CLAIMED, 10, 10)
    alone = asked(held(a_holder(started_at=None, running_jobs=1, slots=1)))
    assert alone.summary.endswith("waits for a slot: 1 of 1 is taken")


def test_a_claimed_job_with_a_slot_to_itself_is_about_to_start() -> None:
    answer = asked(held(a_holder(started_at=None, running_jobs=9, claimed_at=NOON)))
    assert answer.summary == "SCHEDULED: claimed by w2 0 s ago, is about to start"


def test_a_claimed_job_that_does_not_start() -> None:
    holder = a_holder(started_at=None, running_jobs=2, claimed_at=NOON - STARTS_WITHIN)
    assert asked(held(holder)).summary == (
        "SCHEDULED: claimed by w2 5 s ago, and not started though it has 8 free slots"
    )
    holder = a_holder(started_at=None, running_jobs=2, claimed_at=NOON - 4.9 * SECOND)
    assert asked(held(holder)).summary.endswith("4.9 s ago, is about to start")
    forgotten = a_holder(started_at=None, status=None, last_heartbeat=None, slots=None)
    assert asked(held(forgotten)).reasons[1].message == "claimed by w2 42 s ago, and not started"


def test_a_silent_holder_is_given_up_some_time() -> None:
    holder = a_holder(last_heartbeat=NOON - 64 * SECOND)
    answer = asked(held(holder))
    assert codes(answer) == ["holder_silent", "running"]
    assert answer.summary == "RUNNING: held by w2, which has been silent for 64 s: it is given up at 90 s"
    reason = answer.reasons[0]
    assert (reason.since, reason.until, reason.eta_seconds) == (holder.last_heartbeat, NOON + 26 * SECOND, 26)
    suppressed = asked(held(holder), silence=Silence(timeout=90 * SECOND, heard_elsewhere=True))
    assert suppressed.reasons[0].message.endswith("given up at 90 s, or at 7 min while it is heard in Redis")
    late = asked(held(a_holder(last_heartbeat=NOON - HOUR)))
    assert late.reasons[0].eta_seconds == 0


@pytest.mark.parametrize("state", [WorkerState.STALE, WorkerState.STOPPED])
def test_a_lost_holder(state: WorkerState) -> None:
    answer = asked(held(a_holder(status=state, last_heartbeat=NOON - HOUR)))
    assert codes(answer) == ["holder_lost", "running"]
    assert answer.summary == f"RUNNING: held by w2, which is {state}: a reaper gives the job back"


def test_a_forgotten_holder() -> None:
    answer = asked(held(a_holder(status=None, last_heartbeat=None, slots=None, started_at=None)))
    assert codes(answer) == ["holder_lost", "claimed"]
    assert answer.reasons[0].message == "held by w2, which is forgotten: a reaper gives the job back"


def test_a_draining_holder() -> None:
    answer = asked(held(a_holder(status=WorkerState.DRAINING)))
    assert codes(answer) == ["holder_draining", "running"]
    assert answer.reasons[0].message == "w2 drains: it releases what it can't finish"


# Ended


def ended(status: JobState, **fields: Any) -> ExplainInputs:
    return some_inputs(
        **{
            "status": status,
            "completed_at": NOON - 5 * MINUTE,
            "workers": (),
            "attempt": 4,
            "worker_id": W2,
            **fields,
        }
    )


def test_a_job_that_has_succeeded() -> None:
    answer = asked(ended(S.SUCCESS, started_at=NOON - 6 * MINUTE))
    assert answer.summary == "SUCCESS: ended 5 min ago: attempt 4 succeeded, on w2 within 60 s"
    reason = only(answer)
    assert (reason.code, reason.since, reason.worker_ids) == (ReasonCode.SUCCEEDED, NOON - 5 * MINUTE, (W2,))


def test_a_dead_job_tells_its_last_error() -> None:
    answer = asked(ended(S.DEAD, last_error=an_error()))
    assert answer.summary == "DEAD: ended 5 min ago after 4 attempts, last error Timeout: no answer"
    reason = only(answer)
    assert (reason.error_kind, reason.error_message, reason.attempt) == ("Timeout", "no answer", 4)
    assert only(asked(ended(S.DEAD))).error_kind is None


def test_a_canceled_job_tells_the_reason() -> None:
    answer = asked(ended(S.CANCELED, last_move=a_move(S.CANCELED, "canceled by request")))
    assert answer.summary == "CANCELED: ended 5 min ago: canceled by request"
    assert only(asked(ended(S.CANCELED))).message == "ended 5 min ago"


def test_a_job_that_waited_in_vain_tells_for_what() -> None:
    move = a_move(S.CANCELED, UPSTREAM_FAILED)
    dead = a_cause(status=S.DEAD, since=NOON - 5 * MINUTE, error_kind="Declined", error_message="no money")
    others = (a_cause(status=S.RUNNING, worker_id=W1),)
    answer = asked(ended(S.CANCELED, last_move=move, upstream=(dead, *others)))
    assert answer.summary == (
        "CANCELED: ended 5 min ago, for it waited for charge (DEAD for 5 min: Declined: no money)"
    )
    assert (only(answer).code, only(answer).jobs) == (ReasonCode.UPSTREAM_FAILED, (dead,))


def test_a_job_that_waited_in_vain_tells_where_it_began() -> None:
    move = a_move(S.CANCELED, UPSTREAM_FAILED)
    near, root = a_cause(status=S.CANCELED, waits_for=1), a_cause(key="validate", status=S.DEAD)
    reason = only(asked(ended(S.CANCELED, last_move=move, upstream=(near,), root=root)))
    assert reason.message.endswith("charge (CANCELED for 0 s); in the end for validate (DEAD for 0 s)")
    assert reason.jobs == (near, root)


def test_a_job_that_waited_in_vain_for_what_is_gone() -> None:
    reason = only(asked(ended(S.CANCELED, last_move=a_move(S.CANCELED, UPSTREAM_FAILED))))
    assert reason.message == "ended 5 min ago, for it waited for a job that is gone, or lives again"


def test_ready_is_the_absence_of_what_blocks() -> None:
    for fields in ({}, {"waits_for": 1}, {"paused_at": NOON}, {"workers": ()}, {"scheduled_at": NOON + HOUR}):
        answer = asked(some_inputs(**fields))
        assert answer.ready == (not BLOCKING & {reason.code for reason in answer.reasons})
        assert answer.status is S.PENDING


# What messages make of several workers, and of what is not known


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "w1, w2 and w3 have 30 free slots"),
        ({"serves_queue": False}, "w1, w2 and w3 know type work, but no"),
        ({"last_heartbeat": NOON - MINUTE}, "w1, w2 and w3, which could run it, have been silent for 60 s"),
    ],
)
def test_of_several_workers_the_names_are_told(fields: dict[str, Any], told: str) -> None:
    workers = tuple(a_worker(worker_id=WorkerId(f"w{n}"), **fields) for n in range(1, 4))
    assert told in asked(some_inputs(workers=workers)).reasons[0].message
    four = asked(some_inputs(workers=(*workers, a_worker(worker_id=WorkerId("w4"), **fields))))
    assert "w1, w2, w3 and 1 more" in four.reasons[0].message


def test_one_worker_is_silent() -> None:
    answer = asked(some_inputs(workers=(a_worker(last_heartbeat=NOON - MINUTE),)))
    assert answer.reasons[0].message == "w1, which could run it, has been silent for 60 s"


def test_what_is_not_known_is_left_out() -> None:
    forgotten = asked(held(a_holder(status=None, last_heartbeat=None)))
    assert forgotten.reasons[1].message == "has run on w2 for 41 s, attempt 2"
    nobody = asked(some_inputs(last_error=an_error(worker_id=None))).reasons[1]
    assert (nobody.code, nobody.worker_ids) == (ReasonCode.FAILED_BEFORE, ())
    dead = only(asked(ended(S.DEAD, completed_at=None, worker_id=None, attempt=0)))
    assert (dead.message, dead.worker_ids) == ("ended after 0 attempts", ())


def test_a_holder_is_not_silent_before_half_of_the_timeout() -> None:
    assert codes(asked(held(a_holder(last_heartbeat=NOON - 45 * SECOND)))) == ["holder_silent", "running"]
    beat = NOON - 45 * SECOND + timedelta(microseconds=1)
    assert codes(asked(held(a_holder(last_heartbeat=beat)))) == ["running"]


def test_a_worker_is_not_silent_before_its_next_heartbeat_is_late() -> None:
    seldom = Silence(timeout=90 * SECOND, interval=60 * SECOND)
    beat = NOON - 75 * SECOND
    assert codes(asked(held(a_holder(last_heartbeat=beat)), silence=seldom)) == ["holder_silent", "running"]
    beat += timedelta(microseconds=1)
    assert codes(asked(held(a_holder(last_heartbeat=beat)), silence=seldom)) == ["running"]
    waits = some_inputs(workers=(a_worker(last_heartbeat=beat),))
    assert codes(asked(waits, silence=seldom)) == ["ready"]


def test_the_answer_names_the_job() -> None:
    inputs = some_inputs()
    assert asked(inputs).job_id == inputs.job_id


# Each reason with all that it tells

_C = ReasonCode
_DEAD = a_cause(status=S.DEAD)
_ERROR = {"error_kind": "Timeout", "error_message": "no answer"}
_FAR = NOON + MINUTE

EXAMPLES: tuple[tuple[ExplainInputs, QueuePosition | None, dict[str, Any]], ...] = (
    (
        some_inputs(waits_for=2, upstream=(_DEAD,)),
        None,
        {"code": _C.WAITS_FOR_JOBS, "count": 2, "jobs": (_DEAD,)},
    ),
    (
        some_inputs(status=S.RETRYING, scheduled_at=_FAR, last_error=an_error()),
        None,
        {
            "code": _C.RETRIES_LATER, "until": _FAR, "eta_seconds": 60, "since": NOON - MINUTE, "attempt": 2, **_ERROR,
        },
    ),
    (some_inputs(scheduled_at=_FAR), None, {"code": _C.DUE_LATER, "until": _FAR, "eta_seconds": 60}),
    (some_inputs(paused_at=NOON), None, {"code": _C.QUEUE_PAUSED, "queue": "mail", "since": NOON}),
    (some_inputs(workers=()), None, {"code": _C.NO_WORKERS}),
    (
        some_inputs(workers=(a_worker(knows_type=False),)),
        None,
        {"code": _C.TYPE_UNKNOWN, "type": "work", "count": 1},
    ),
    (
        some_inputs(workers=(a_worker(serves_queue=False), a_worker(serves_queue=False, worker_id=W2))),
        None,
        {"code": _C.QUEUE_NOT_SERVED, "type": "work", "queue": "mail", "count": 2, "worker_ids": (W1, W2)},
    ),
    (
        some_inputs(workers=(a_worker(status=WorkerState.DRAINING),)),
        None,
        {"code": _C.WORKERS_DRAINING, "count": 1, "worker_ids": (W1,)},
    ),
    (
        some_inputs(workers=(a_worker(last_heartbeat=NOON - MINUTE), a_worker(last_heartbeat=NOON - HOUR))),
        NOBODY_AHEAD,
        {"code": _C.WORKERS_SILENT, "since": NOON - MINUTE, "count": 2, "worker_ids": (W1, W1)},
    ),
    (
        some_inputs(workers=(a_worker(held_jobs=10),)),
        NOBODY_AHEAD,
        {"code": _C.SLOTS_TAKEN, "slots": 10, "count": 1, "worker_ids": (W1,)},
    ),
    (
        some_inputs(),
        QueuePosition(ahead=8, claims_per_second=4),
        {"code": _C.JOBS_AHEAD, "count": 8, "at_least": False, "per_second": 4, "eta_seconds": 2},
    ),
    (some_inputs(), None, {"code": _C.JOBS_AHEAD, "at_least": True}),
    (
        some_inputs(workers=(a_worker(), a_worker(worker_id=W2, last_heartbeat=NOON - MINUTE))),
        NOBODY_AHEAD,
        {"code": _C.READY, "since": NOON, "slots": 10, "count": 2, "worker_ids": (W1, W2)},
    ),
    (
        some_inputs(last_error=an_error()),
        NOBODY_AHEAD,
        {"code": _C.FAILED_BEFORE, "since": NOON - MINUTE, "attempt": 2, "worker_ids": (W1,), **_ERROR},
    ),
    (
        held(a_holder(status=WorkerState.STALE)),
        None,
        {"code": _C.HOLDER_LOST, "worker_ids": (W2,), "last_heartbeat": NOON - 3 * SECOND},
    ),
    (
        held(a_holder(last_heartbeat=NOON - 60 * SECOND)),
        None,
        {
            "code": _C.HOLDER_SILENT, "worker_ids": (W2,), "since": NOON - MINUTE, "last_heartbeat": NOON - MINUTE,
            "until": NOON + 30 * SECOND, "eta_seconds": 30,
        },
    ),
    (
        held(a_holder(status=WorkerState.DRAINING)),
        None,
        {"code": _C.HOLDER_DRAINING, "worker_ids": (W2,)},
    ),
    (
        held(a_holder(), timeout=30 * SECOND),
        None,
        {"code": _C.OVERDUE, "since": NOON - 11 * SECOND, "worker_ids": (W2,)},
    ),
    (
        held(a_holder(started_at=None)),
        None,
        {
            "code": _C.CLAIMED, "since": NOON - 42 * SECOND, "worker_ids": (W2,), "last_heartbeat": NOON - 3 * SECOND,
            "slots": 10, "count": 1,
        },
    ),
    (
        held(a_holder()),
        None,
        {
            "code": _C.RUNNING, "since": NOON - 41 * SECOND, "until": NOON - 41 * SECOND + HOUR, "attempt": 2,
            "worker_ids": (W2,), "last_heartbeat": NOON - 3 * SECOND,
        },
    ),
    (
        ended(S.CANCELED, last_move=a_move(S.CANCELED, UPSTREAM_FAILED), upstream=(_DEAD,)),
        None,
        {"code": _C.UPSTREAM_FAILED, "since": NOON - 5 * MINUTE, "jobs": (_DEAD,)},
    ),
    (
        ended(S.SUCCESS, started_at=NOON - HOUR),
        None,
        {"code": _C.SUCCEEDED, "since": NOON - 5 * MINUTE, "attempt": 4, "worker_ids": (W2,)},
    ),
    (
        ended(S.DEAD, last_error=an_error()),
        None,
        {"code": _C.DEAD, "since": NOON - 5 * MINUTE, "attempt": 4, "worker_ids": (W2,), **_ERROR},
    ),
    (ended(S.CANCELED, last_move=a_move(S.CANCELED, "unwanted")), None, {"code": _C.CANCELED, "since": NOON - 5 * MINUTE}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("inputs", "position", "fields"), EXAMPLES, ids=[fields["code"] for _, _, fields in EXAMPLES]
)
def test_a_reason_has_the_fields_of_its_code_and_no_others(
    inputs: ExplainInputs, position: QueuePosition | None, fields: dict[str, Any]
) -> None:
    reasons = {reason.code: reason for reason in asked(inputs, position).reasons}
    reason = reasons[fields["code"]]
    assert reason == Reason(message=reason.message, **fields)


def test_there_is_an_example_of_each_code() -> None:
    assert {fields["code"] for _, _, fields in EXAMPLES} == set(ReasonCode)
