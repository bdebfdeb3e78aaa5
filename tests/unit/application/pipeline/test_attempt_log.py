"""What the log tells of each attempt that has come to its end."""

import asyncio
import logging
from datetime import timedelta
from typing import Any

import attrs
import pytest
import structlog

from schedora.application.pipeline.attempt_log import NAME, AttemptLog
from schedora.application.telemetry.repetition import SPAN_SECONDS, TOLD_MAX
from schedora.domain.completion import Completion, settle
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome, Released, Succeeded
from tests.builders import NOON, SECOND, a_claimed_job, a_workflow_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
JOB = a_claimed_job(traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
BROKEN = Failed(kind="Oops", message="broken")


def settled(outcome: Outcome, *, started: bool = True) -> Completion:
    return settle(
        JOB,
        outcome,
        started_at=NOON if started else None,
        ended_at=NOON + 1.5 * SECOND,
        unit_random=0,
        worker_deaths_max=3,
    )


def told(completion: Completion, **changes: Any) -> list[dict[str, Any]]:
    with structlog.testing.capture_logs() as lines:
        AttemptLog().tell([(attrs.evolve(JOB, **changes), completion)])
    return [dict(line) for line in lines]


@pytest.fixture
def in_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(NAME), "isEnabledFor", lambda level: True)


@pytest.fixture
def in_brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(NAME), "isEnabledFor", lambda level: level > logging.DEBUG)


def test_a_failure_is_told_with_its_reason_and_the_next_attempt(in_brief: None) -> None:
    completion = settled(Failed(kind="Oops", message="broken", retry_after=timedelta(seconds=5)))
    assert told(completion) == [
        {
            "event": "attempt failed, another follows", "log_level": "warning", "job_id": str(JOB.job_id),
            "job_type": JOB.type, "worker_id": JOB.worker_id, "attempt": 1, "trace_id": TRACE, "duration_ms": 1500,
            "kind": "Oops", "error": "broken", "retry_at": str(completion.scheduled_at),
        }
    ]  # fmt: skip


def test_the_last_failure_is_an_error(in_brief: None) -> None:
    [line] = told(settled(Failed(kind="Oops", message="broken", retryable=False)))
    assert (line["event"], line["log_level"], line["kind"]) == ("job failed for good", "error", "Oops")


def test_a_success_is_told_to_who_asks_for_detail(in_detail: None) -> None:
    [line] = told(settled(Succeeded(result=JsonText("1"))), workflow_id=(flow := a_workflow_id()))
    assert (line["event"], line["log_level"], line["duration_ms"]) == ("job succeeded", "debug", 1500)
    assert line["workflow_id"] == str(flow)


def test_so_is_what_waits_again_and_has_lasted_for_no_time_if_it_did_not_start(in_detail: None) -> None:
    [line] = told(settled(Released(reason="its worker shuts down"), started=False), traceparent="none")
    assert (line["event"], line["reason"], line["trace_id"]) == (
        "job waits again",
        "its worker shuts down",
        None,
    )
    assert "duration_ms" not in line


def test_what_waits_again_after_its_start_is_told_with_its_reason(in_detail: None) -> None:
    [line] = told(settled(Released(reason="its worker shuts down")))
    assert (line["event"], line["reason"]) == ("job waits again", "its worker shuts down")


def test_failures_are_told_though_successes_before_them_are_not(in_brief: None) -> None:
    with structlog.testing.capture_logs() as lines:
        AttemptLog().tell([(JOB, settled(Succeeded())), (JOB, settled(BROKEN))])
    assert [line["kind"] for line in lines] == ["Oops"]


def test_it_is_told_by_the_microsecond_how_long_it_took(in_brief: None) -> None:
    lasted = timedelta(seconds=1, microseconds=234_567)
    [line] = told(attrs.evolve(settled(BROKEN), ended_at=NOON + lasted))
    assert line["duration_ms"] == 1234.567


@pytest.mark.parametrize("outcome", [Succeeded(result=None), Released(reason="x")])
def test_nobody_else_hears_of_them(in_brief: None, outcome: Outcome) -> None:
    assert told(settled(outcome)) == []


def test_payloads_are_told_to_who_asks_for_them(in_brief: None) -> None:
    job = attrs.evolve(JOB, payload=JsonText('{"to":"ada"}'))
    with structlog.testing.capture_logs() as lines:
        AttemptLog(payloads=True).tell([(job, settled(BROKEN))])
        AttemptLog().tell([(job, settled(BROKEN))])
    assert [line.get("payload") for line in lines] == [{"to": "ada"}, None]


def test_of_failures_alike_some_are_told_and_how_many_more_there_were(in_brief: None) -> None:
    told_by = AttemptLog()
    failure, other = settled(BROKEN), settled(Failed(kind="Other", message="x"))
    with structlog.testing.capture_logs() as lines:
        told_by.tell([(JOB, failure)] * 5_000 + [(JOB, other), (attrs.evolve(JOB, type="mail"), failure)])
        assert [(line["job_type"], line["kind"]) for line in lines[TOLD_MAX:]] == [
            ("work", "Other"),
            ("mail", "Oops"),
        ]
        told_by.flush()
        told_by.flush()
    assert len(lines) == TOLD_MAX + 3
    assert (lines[-1]["event"], lines[-1]["repeated"], lines[-1]["job_id"], lines[-1]["log_level"]) == (
        f"repeated {5_000 - TOLD_MAX} times: attempt failed, another follows", 5_000 - TOLD_MAX, str(JOB.job_id), "warning",
    )  # fmt: skip


def test_who_asks_for_detail_gets_all_of_it(in_detail: None) -> None:
    with structlog.testing.capture_logs() as lines:
        AttemptLog().tell([(JOB, settled(BROKEN))] * 50)
    assert len(lines) == 50


@pytest.fixture
async def later(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, Any]]:
    """What is to be called, and in how many seconds."""
    calls: list[tuple[float, Any]] = []

    def call_later(*call: Any) -> object:
        calls.append(call)
        return call

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", call_later)
    return calls


async def test_what_was_held_back_is_told_when_its_span_is_over(
    in_brief: None, later: list[tuple[float, Any]]
) -> None:
    now = 100.0
    told_by = AttemptLog(seconds=lambda: now)
    with structlog.testing.capture_logs() as lines:
        told_by.tell([(JOB, settled(BROKEN))] * (TOLD_MAX + 2))
        told_by.tell([(JOB, settled(BROKEN))])
        [(seconds, tell)] = later
        assert seconds == SPAN_SECONDS
        assert len(lines) == TOLD_MAX
        now += SPAN_SECONDS
        tell()
        assert lines[-1]["repeated"] == 3
        assert len(later) == 1, "nothing is held back any more"
        told_by.tell([(JOB, settled(BROKEN))] * (TOLD_MAX + 2))
        assert len(later) == 2, "something is again"


async def test_only_what_is_over_is_told(in_brief: None, later: list[tuple[float, Any]]) -> None:
    now = 100.0
    told_by = AttemptLog(seconds=lambda: now)
    other = Failed(kind="Other", message="x")
    with structlog.testing.capture_logs() as lines:
        told_by.tell([(JOB, settled(BROKEN))] * (TOLD_MAX + 2))
        now += SPAN_SECONDS / 2
        told_by.tell([(JOB, settled(other))] * (TOLD_MAX + 1))
        now += SPAN_SECONDS / 2
        later[0][1]()
        assert [(line["kind"], line["repeated"]) for line in lines if "repeated" in line] == [("Oops", 2)]
        assert [seconds for seconds, _ in later] == [SPAN_SECONDS, SPAN_SECONDS / 2]
        now += SPAN_SECONDS / 2
        later[1][1]()
    assert [line["kind"] for line in lines if "repeated" in line] == ["Oops", "Other"]
