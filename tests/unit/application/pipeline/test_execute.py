"""Run a handler and name what came of it, whatever it does."""

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.application.context import JobContext
from schedora.application.directives import Directive, Discard, Retry, Snooze
from schedora.application.handlers import Executor, Handler, InvalidPayload
from schedora.application.pipeline.execute import (
    DRAINED,
    INVALID_PAYLOAD,
    INVALID_RESULT,
    MESSAGE_LENGTH_MAX,
    TRACEBACK_LENGTH_MAX,
    UPSTREAM_NOT_READ,
    Execute,
    checked_size,
    failed,
    outcome_of,
    stopped,
    storable,
)
from schedora.application.pipeline.run import Run, StopReason
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut
from tests.builders import HOUR, NOON, SECOND, a_claimed_job
from tests.unit.application.bench import UP, Bench
from tests.unit.application.pipeline.engine import RESULT_BYTES_MAX, Children
from tests.unit.application.test_context import RecordedLink

Function = Callable[[JobContext], Any]


class Link(RecordedLink):
    def written(self, completion: object, released: object) -> None:
        raise AssertionError("no handler here has a transaction of its own")

    def leave_line(self, line: object) -> None:
        raise AssertionError("no handler here leaves a line")

    def leave_span(self, span: object) -> None:
        raise AssertionError("no handler here leaves a span")


class Desk:
    """Runs one function as a handler."""

    def __init__(self, bench: Bench, threads: ThreadPoolExecutor) -> None:
        self.bench = bench
        self.children = Children()
        self.link = Link()
        self.execute = Execute(
            reader=bench.stores.job_reader,
            threads=threads,
            processes=self.children,
            result_bytes_max=RESULT_BYTES_MAX,
        )

    def begin(
        self, function: Function, executor: Executor, job: ClaimedJob | None = None
    ) -> tuple[Run, "asyncio.Task[Outcome | None]"]:
        run = Run(job or a_claimed_job(timeout=90 * SECOND), started_at=NOON, began=timedelta(0))
        handler = Handler(type="work", executor=executor, bind=lambda _: function, target="m:f")
        run.task = asyncio.create_task(self.execute(run, handler, self.link))
        return run, run.task

    async def run(
        self, function: Function, executor: Executor = Executor.ASYNC, job: ClaimedJob | None = None
    ) -> Outcome | None:
        _, task = self.begin(function, executor, job)
        return await task

    async def failure(self, raises: Callable[[], object], executor: Executor) -> Failed:
        """What a handler comes to that does this."""
        outcome = await self.run(
            in_thread(raises) if executor is Executor.THREAD else on_loop(raises), executor
        )
        assert isinstance(outcome, Failed)
        assert_storable(outcome)
        return outcome


def on_loop(does: Callable[[], object]) -> Callable[[JobContext], Awaitable[object]]:
    async def handler(_context: JobContext) -> object:
        await asyncio.sleep(0)
        return does()

    return handler


def in_thread(does: Callable[[], object]) -> Function:
    return lambda _context: does()


def raising(error: BaseException) -> Callable[[], object]:
    def does() -> object:
        raise error

    return does


def assert_storable(outcome: Failed) -> None:
    for text in (outcome.kind, outcome.message, outcome.traceback or ""):
        assert "\x00" not in text
        text.encode()
    assert len(outcome.message) <= MESSAGE_LENGTH_MAX
    assert len(outcome.traceback or "") <= TRACEBACK_LENGTH_MAX


@pytest.fixture
async def desk(bench: Bench) -> AsyncIterator[Desk]:
    with ThreadPoolExecutor(2, thread_name_prefix="handlers") as threads:
        yield Desk(bench, threads)


both = pytest.mark.parametrize("executor", [Executor.ASYNC, Executor.THREAD])


STORY: ContextVar[str] = ContextVar("story", default="untold")


async def test_blocking_handlers_run_on_the_threads_that_are_for_them_and_see_what_is_current(
    desk: Desk,
) -> None:
    STORY.set("told")
    outcome = await desk.run(lambda _: [threading.current_thread().name, STORY.get()], Executor.THREAD)
    assert outcome == Succeeded(result=JsonText('["handlers_0","told"]'))


@both
async def test_handler_is_bound_to_the_payload_of_its_job(desk: Desk, executor: Executor) -> None:
    bound: list[JsonText] = []

    def bind(payload: JsonText) -> Function:
        bound.append(payload)
        return in_thread(lambda: None) if executor is Executor.THREAD else on_loop(lambda: None)

    job = a_claimed_job(payload=JsonText('{"to":"ada"}'))
    run = Run(job, started_at=NOON, began=timedelta(0))
    await desk.execute(run, Handler(type="work", executor=executor, bind=bind, target="m:f"), desk.link)
    assert bound == [job.payload]


@both
async def test_what_a_handler_returns_is_its_result(desk: Desk, executor: Executor) -> None:
    function = (in_thread if executor is Executor.THREAD else on_loop)(lambda: {"b": [1, None], "a": "ü"})
    assert await desk.run(function, executor) == Succeeded(result=JsonText('{"a":"ü","b":[1,null]}'))


@both
async def test_what_a_handler_raises_is_told_with_its_own_part_of_the_way(
    desk: Desk, executor: Executor
) -> None:
    failure = await desk.failure(raising(LookupError("no such order")), executor)
    assert (failure.kind, failure.message, failure.retryable) == ("LookupError", "no such order", True)
    assert failure.traceback is not None
    assert "in does" in failure.traceback
    assert failure.traceback.endswith("LookupError: no such order\n")
    assert "pipeline/execute.py" not in failure.traceback


@both
async def test_exit_in_a_handler_ends_its_run_and_no_more(desk: Desk, executor: Executor) -> None:
    failure = await desk.failure(lambda: sys.exit(3), executor)
    assert (failure.kind, failure.message, failure.retryable) == ("SystemExit", "3", True)


@both
@pytest.mark.parametrize("error", [KeyboardInterrupt, BaseException])
async def test_even_what_nobody_should_catch_ends_the_run_alone(
    desk: Desk, executor: Executor, error: type[BaseException]
) -> None:
    failure = await desk.failure(raising(error("m")), executor)
    assert (failure.kind, failure.message) == (error.__name__, "m")


@both
@pytest.mark.parametrize("error", [asyncio.CancelledError, concurrent.futures.CancelledError])
async def test_handler_that_raises_a_cancellation_by_itself_has_failed(
    desk: Desk, executor: Executor, error: type[BaseException]
) -> None:
    failure = await desk.failure(raising(error("by itself")), executor)
    assert failure.kind == "CancelledError"
    assert failure.retryable


@both
@pytest.mark.parametrize("error", [StopIteration, GeneratorExit])
async def test_what_ends_generators_is_told_like_any_other_error(
    desk: Desk, executor: Executor, error: type[BaseException]
) -> None:
    failure = await desk.failure(raising(error("enough")), executor)
    assert error.__name__ in (failure.kind, *failure.message.split())
    assert failure.retryable


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


@both
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Unprintable(), "<Unprintable whose message can't be printed: ZeroDivisionError>"),
        (ValueError("a\x00b"), "a\\x00b"),
        (ValueError("a\ud800b"), "a\\ud800b"),
        (ValueError(""), ""),
    ],
)
async def test_message_that_can_not_be_kept_is_told_in_another_way(
    desk: Desk, executor: Executor, error: Exception, message: str
) -> None:
    failure = await desk.failure(raising(error), executor)
    assert failure.message == message


async def test_endless_message_is_shortened_in_the_middle(desk: Desk) -> None:
    failure = await desk.failure(raising(ValueError("begin" + "x" * 100_000 + "end")), Executor.ASYNC)
    assert failure.message.startswith("begin")
    assert failure.message.endswith("end")
    assert "(100008 characters)" in failure.message


async def test_traceback_may_be_longer_than_a_message(desk: Desk) -> None:
    failure = await desk.failure(raising(LookupError("x" * 2 * MESSAGE_LENGTH_MAX)), Executor.ASYNC)
    assert failure.traceback is not None
    assert failure.traceback.endswith(f"LookupError: {'x' * 2 * MESSAGE_LENGTH_MAX}\n")


async def test_way_through_a_deep_recursion_is_shortened(desk: Desk) -> None:
    def deeper(depth: int) -> None:
        if depth == 0:
            raise LookupError("x" * 50_000)
        deeper(depth - 1)

    failure = await desk.failure(lambda: deeper(200), Executor.ASYNC)
    assert failure.traceback is not None
    assert failure.traceback.startswith("Traceback (most recent call last):\n")


async def test_traceback_that_can_not_be_made_is_told_in_another_way(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("traceback.format_exception_only", broken)
    failure = await desk.failure(raising(LookupError("m")), Executor.ASYNC)
    assert failure.traceback == "<traceback can't be printed: ZeroDivisionError>"
    assert failure.message == "m"


@both
@pytest.mark.parametrize(
    ("directive", "outcome"),
    [
        (Discard("broken"), Failed(kind="Discard", message="broken", retryable=False)),
        (Retry("busy", after=5), Failed(kind="Retry", message="busy", retry_after=5 * SECOND)),
        (Retry("busy"), Failed(kind="Retry", message="busy")),
        (Snooze(5, "a\x00b"), Snoozed(delay=5 * SECOND, reason="a\\x00b")),
        (Snooze(5), Snoozed(delay=5 * SECOND)),
    ],
)
async def test_directive_is_no_accident_and_has_no_traceback(
    desk: Desk, executor: Executor, directive: Directive, outcome: Outcome
) -> None:
    function = (in_thread if executor is Executor.THREAD else on_loop)(raising(directive))
    assert await desk.run(function, executor) == outcome


async def test_payload_that_the_handler_can_not_take_is_dead_at_once(desk: Desk) -> None:
    def bind(_payload: JsonText) -> Function:
        raise InvalidPayload("amount must be a number, not '\ud800'")

    run = Run(a_claimed_job(), started_at=NOON, began=timedelta(0))
    for executor in (Executor.ASYNC, Executor.THREAD):
        outcome = await desk.execute(run, Handler(type="work", executor=executor, bind=bind), desk.link)
        assert outcome == Failed(
            kind=INVALID_PAYLOAD, message="amount must be a number, not '\\ud800'", retryable=False
        )


@both
@pytest.mark.parametrize(
    ("result", "said"),
    [
        (object(), "is a object, which has no JSON form"),
        (float("nan"), "is nan, which JSON can't express"),
        ({"a": [1, {2, 3}]}, "$.a[1] is a set"),
        ({1: 2}, "keys must be strings"),
        ("\x00", "NUL"),
        ("\ud800", "lone surrogate"),
        (b"bytes", "is a bytes"),
        ("x" * RESULT_BYTES_MAX, f"has {RESULT_BYTES_MAX + 2} bytes encoded"),
    ],
)
async def test_result_that_can_not_be_kept_is_dead_at_once(
    desk: Desk, executor: Executor, result: object, said: str
) -> None:
    failure = await desk.failure(lambda: result, executor)
    assert (failure.kind, failure.retryable) == (INVALID_RESULT, False)
    assert said in failure.message


async def test_result_that_contains_itself_is_refused(desk: Desk) -> None:
    endless: list[object] = []
    endless.append(endless)
    failure = await desk.failure(lambda: endless, Executor.ASYNC)
    assert failure.kind == INVALID_RESULT


def test_size_is_counted_in_bytes() -> None:
    assert checked_size(JsonText('"ü"'), 4) == Succeeded(result=JsonText('"ü"'))
    refused = checked_size(JsonText('"ü"'), 3)
    assert isinstance(refused, Failed)
    assert refused.message == "the result has 4 bytes encoded, and at most 3 are allowed"


async def test_results_of_what_it_depends_on_are_read_by_key(desk: Desk) -> None:
    bench = desk.bench
    await bench.flow(a="", b="", c="ab")
    claims = {claim.key: claim for claim in await bench.claim()}
    completions = [
        await bench.stores.settle(claims["a"], Succeeded(result=JsonText('{"n":1}'))),
        await bench.stores.settle(claims["b"], UP),
    ]
    await bench.complete(completions)
    [claim] = await bench.claim()
    seen: list[object] = []

    async def handler(context: JobContext) -> None:
        seen.append(dict(context.upstream))

    await desk.run(handler, job=claim)
    assert seen == [{"a": {"n": 1}, "b": None}]


async def test_results_are_not_read_for_a_handler_that_does_not_look_at_them(desk: Desk) -> None:
    await desk.bench.flow(a="", b="a")
    await desk.bench.run({"a": UP})
    [claim] = await desk.bench.claim()
    desk.bench.faults.away = True
    blind = Handler(
        type="work", executor=Executor.ASYNC, bind=lambda _: on_loop(lambda: 1), takes_context=False
    )
    run = Run(claim, started_at=NOON, began=timedelta(0))
    assert await desk.execute(run, blind, desk.link) == Succeeded(result=JsonText("1"))


async def test_results_that_can_not_be_read_now_send_the_job_back(desk: Desk) -> None:
    await desk.bench.flow(a="", b="a")
    await desk.bench.run({"a": UP})
    [claim] = await desk.bench.claim()
    desk.bench.faults.away = True
    assert await desk.run(on_loop(lambda: 1), job=claim) == Released(reason=UPSTREAM_NOT_READ)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (StopReason.TIMED_OUT, TimedOut(timeout=90 * SECOND)),
        (StopReason.DRAINED, Released(reason=DRAINED)),
        (StopReason.LEASE_LOST, None),
    ],
)
async def test_stopped_run_ends_as_its_reason_says(
    desk: Desk, reason: StopReason, outcome: Outcome | None
) -> None:
    async def handler(_context: JobContext) -> None:
        await asyncio.Event().wait()

    run, task = desk.begin(handler, Executor.ASYNC)
    await asyncio.sleep(0)
    run.stop(reason)
    assert await task == outcome


@pytest.mark.parametrize(
    ("reason", "counts"),
    [(StopReason.TIMED_OUT, False), (StopReason.DRAINED, True), (StopReason.LEASE_LOST, False)],
)
async def test_what_a_handler_returns_instead_of_stopping_counts_only_while_draining(
    desk: Desk, reason: StopReason, counts: bool
) -> None:
    async def handler(_context: JobContext) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "in spite of all"
        raise AssertionError("nothing happened")

    run, task = desk.begin(handler, Executor.ASYNC)
    await asyncio.sleep(0)
    run.stop(reason)
    assert await task == (Succeeded(result=JsonText('"in spite of all"')) if counts else stopped(run))


async def test_failure_at_cleaning_up_is_not_the_outcome(desk: Desk) -> None:
    async def handler(_context: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("while cleaning up")

    run, task = desk.begin(handler, Executor.ASYNC)
    await asyncio.sleep(0)
    run.stop(StopReason.DRAINED)
    assert await task == Released(reason=DRAINED)


async def test_directive_raised_while_draining_is_the_outcome(desk: Desk) -> None:
    async def handler(_context: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Snooze(5) from None

    run, task = desk.begin(handler, Executor.ASYNC)
    await asyncio.sleep(0)
    run.stop(StopReason.DRAINED)
    assert await task == Snoozed(delay=5 * SECOND)


async def test_run_that_is_torn_down_with_its_loop_goes_back(desk: Desk) -> None:
    run, task = desk.begin(on_loop(asyncio.Event), Executor.PROCESS)
    await asyncio.sleep(0)
    task.cancel()
    assert await task == Released(reason=DRAINED)
    assert run.stop_reason is None


async def test_child_is_called_and_its_outcome_passes_through(desk: Desk) -> None:
    desk.children.outcome.set_result(Snoozed(delay=HOUR))
    job = a_claimed_job()
    assert await desk.run(on_loop(lambda: 1), Executor.PROCESS, job) == Snoozed(delay=HOUR)
    [call] = desk.children.calls
    assert (call.target, call.job, call.started_at) == ("m:f", job, NOON)
    assert desk.children.links == [desk.link]


@pytest.mark.parametrize(("size", "fits"), [(RESULT_BYTES_MAX, True), (RESULT_BYTES_MAX + 1, False)])
async def test_result_of_a_child_is_held_to_the_limit(desk: Desk, size: int, fits: bool) -> None:
    result = JsonText('"' + "x" * (size - 2) + '"')
    desk.children.outcome.set_result(Succeeded(result=result))
    outcome = await desk.run(on_loop(lambda: 1), Executor.PROCESS)
    assert (outcome == Succeeded(result=result)) is fits
    assert isinstance(outcome, Succeeded if fits else Failed)


async def test_child_without_a_result_has_none(desk: Desk) -> None:
    desk.children.outcome.set_result(Succeeded())
    assert await desk.run(on_loop(lambda: 1), Executor.PROCESS) == Succeeded()


async def test_without_a_run_there_is_nobody_to_stop_it(desk: Desk) -> None:
    async def does(what: Callable[[], object]) -> object:
        return what()

    assert await outcome_of(does(lambda: 1), result_bytes_max=10) == Succeeded(result=JsonText("1"))
    for error in (LookupError, SystemExit, asyncio.CancelledError):
        outcome = await outcome_of(does(raising(error("m"))), result_bytes_max=10)
        assert isinstance(outcome, Failed)
        assert outcome.kind == error.__name__


def test_exception_that_was_never_raised_has_a_traceback_without_steps() -> None:
    assert failed(LookupError("m")).traceback == "Traceback (most recent call last):\nLookupError: m\n"


@pytest.mark.parametrize("length_max", [100, 101])
def test_text_is_kept_whole_as_long_as_there_is_room_and_then_as_much_of_it_as_fits(length_max: int) -> None:
    assert storable("x" * length_max, length_max) == "x" * length_max
    shortened = storable("x" * 500 + "y" * 500, length_max)
    assert length_max - 1 <= len(shortened) <= length_max
    assert shortened.count("x") == shortened.count("y")


@given(st.text(st.characters()), st.integers(40, 300))
def test_every_text_can_be_kept(text: str, length_max: int) -> None:
    kept = storable(text, length_max)
    assert "\x00" not in kept
    kept.encode()
    assert len(kept) <= length_max
    if len(text) <= length_max and "\x00" not in text and text.encode("utf-8", "ignore").decode() == text:
        assert kept == text
