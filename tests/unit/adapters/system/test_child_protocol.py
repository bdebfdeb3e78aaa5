"""What a worker and its child processes say to each other."""

from datetime import timedelta
from uuid import UUID

import pytest

from schedora.adapters.system.child_protocol import (
    Ended,
    Progress,
    Said,
    Written,
    decode_call,
    decode_said,
    encode_call,
    encode_said,
)
from schedora.application.ports.processes import ProcessCall
from schedora.domain.ids import JobId, JsonText, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import HOUR, NOON, SECOND, a_claimed_job, a_job_id, a_workflow_id, settled

OUTCOMES: list[Outcome] = [
    Succeeded(result=JsonText('{"a":"ü\\n"}')),
    Succeeded(),
    Failed(kind="Oops", message="zwei\nZeilen", traceback="…", retryable=False),
    Failed(kind="Oops", message="", retry_after=timedelta(microseconds=1)),
    TimedOut(timeout=HOUR),
    Snoozed(delay=timedelta.max, reason="later"),
    Snoozed(delay=timedelta(0)),
    Released(reason="draining"),
    WorkerLost(message="silence"),
]


class DriversUuid(UUID):
    """As drivers make them."""


def a_call() -> ProcessCall:
    job = a_claimed_job(
        job_id=JobId(DriversUuid(int=a_job_id().int)),
        worker_id=WorkerId("Ω"),
        payload=JsonText('{"n": 123456789012345678901234567890}'),
        waited_as=JobState.RETRYING,
        retry=RetryPolicy(kind=RetryKind.JITTER, base=timedelta(microseconds=1), max_delay=HOUR),
        workflow_id=a_workflow_id(),
        key="k",
        depends_on=(a_job_id(), a_job_id()),
        started_at=None,
        suspect=True,
    )
    return ProcessCall(
        target="m:f", job=job, started_at=NOON + SECOND, upstream={"a": JsonText("1"), "b": None}
    )


def test_call_arrives_as_it_was_sent() -> None:
    call = a_call()
    line = encode_call(call)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_call(line) == call


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcome_arrives_as_it_was_sent(outcome: Outcome) -> None:
    line = encode_said(Ended(outcome=outcome))
    assert line.count(b"\n") == 1
    assert decode_said(line) == Ended(outcome=outcome)


@pytest.mark.parametrize("outcome", [OUTCOMES[0], OUTCOMES[3], OUTCOMES[5]])
def test_completion_arrives_as_it_was_sent(outcome: Outcome) -> None:
    completion = settled(a_claimed_job(workflow_id=a_workflow_id()), outcome)
    said: Said = Written(completion=completion, released=frozenset({"a", "ü"}))
    assert decode_said(encode_said(said)) == said


def test_progress_arrives_as_it_was_sent() -> None:
    said: Said = Progress(document=JsonText('{"fraction":0.5}'))
    assert decode_said(encode_said(said)) == said
