"""One job in a slot."""

import asyncio
from datetime import timedelta

import pytest
from attrs import evolve

from schedora.application.pipeline.run import Run, StopReason
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome
from schedora.domain.run_log import SPANS_MAX
from tests.builders import HOUR, NOON, SECOND, a_claimed_job

A_SPAN = JsonText('{"name":"charge"}')


def a_run(*, recorded: bool = True, timeout: timedelta = HOUR) -> Run:
    job = a_claimed_job(started_at=NOON if recorded else None, timeout=timeout)
    return Run(job, started_at=NOON, began=SECOND)


@pytest.mark.parametrize("recorded", [True, False])
def test_store_knows_of_the_start_where_it_came_with_the_claim(recorded: bool) -> None:
    assert a_run(recorded=recorded).recorded is recorded


def test_deadline_is_measured_from_the_start() -> None:
    assert a_run(timeout=3 * SECOND).deadline == 4 * SECOND


@pytest.mark.parametrize("reason", StopReason)
def test_first_reason_to_stop_stands(reason: StopReason) -> None:
    run = a_run()
    before = run.cancelled
    run.stop(reason)
    assert (before, run.cancelled) == (False, True)
    for later in StopReason:
        run.stop(later)
    assert run.stop_reason is reason


@pytest.mark.parametrize("stoppable", [True, False])
async def test_what_can_be_stopped_is_stopped(stoppable: bool) -> None:
    async def handler() -> Outcome | None:
        await asyncio.Event().wait()
        return None

    run = a_run()
    run.stoppable = stoppable
    run.task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    run.stop(StopReason.DRAINED)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert run.task.cancelled() is stoppable
    run.task.cancel()


def a_kept_run(*, sampled: bool) -> tuple[Run, list[JsonText]]:
    """A run, and the spans that are kept of it."""
    kept: list[JsonText] = []
    flags = "01" if sampled else "00"
    job = evolve(a_claimed_job(), traceparent=f"00-{1:032x}-{1:016x}-{flags}")
    return Run(job, started_at=NOON, began=SECOND, on_run_log=lambda _: None, on_span=kept.append), kept


def test_spans_are_kept_as_they_come_where_the_trace_is_sampled() -> None:
    run, kept = a_kept_run(sampled=True)
    run.leave_span(A_SPAN)
    assert kept == [A_SPAN]
    assert run.run_log is not None
    assert run.run_log.now().spans == (A_SPAN,)
    assert run.held_spans is None


def test_lines_are_kept_as_they_come() -> None:
    run, _ = a_kept_run(sampled=False)
    run.leave_line(A_SPAN)
    assert run.run_log is not None
    assert run.run_log.now().lines == (A_SPAN,)


def test_nothing_is_kept_for_nobody() -> None:
    run = a_run()
    run.leave_line(A_SPAN)
    run.leave_span(A_SPAN)
    run.keep_held_spans()
    assert run.run_log is None


def test_a_run_that_has_just_begun_holds_nothing_and_has_decided_nothing() -> None:
    run = a_run()
    assert (run.locked, run.settled, run.stoppable, run.cancelled) == (False, False, True, False)
    assert (run.written, run.released, run.progress) == (None, (), None)


def test_spans_of_a_trace_that_is_not_sampled_are_kept_once_the_attempt_has_failed() -> None:
    run, kept = a_kept_run(sampled=False)
    run.leave_span(A_SPAN)
    assert (kept, run.run_log) == ([], None)
    run.keep_held_spans()
    assert kept == [A_SPAN]
    assert run.run_log is not None
    assert run.run_log.now().spans == (A_SPAN,)
    assert run.held_spans is None
    run.keep_held_spans()
    assert kept == [A_SPAN]


def test_held_spans_are_as_many_as_are_kept() -> None:
    run, kept = a_kept_run(sampled=False)
    for _ in range(SPANS_MAX + 1):
        run.leave_span(A_SPAN)
    run.keep_held_spans()
    assert len(kept) == SPANS_MAX
