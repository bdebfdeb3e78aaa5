"""Run a handler and name what came of it."""

import asyncio
import contextvars
import traceback as tracebacks
from concurrent.futures import Executor as ThreadPool
from typing import Any, Protocol, assert_never

from schedora.application.context import JobContext, RunLink
from schedora.application.directives import Directive, Discard, Retry, Snooze
from schedora.application.encoding import decode_json, encode_json, size_bytes
from schedora.application.errors import NotJson, StoreUnavailable
from schedora.application.handlers import BoundCall, Executor, Handler, InvalidPayload
from schedora.application.log import Logger
from schedora.application.pipeline.run import Run, StopReason
from schedora.application.ports.job_reader import JobReader
from schedora.application.ports.processes import ProcessCall, Processes, ProcessLink
from schedora.application.run_scope import RunSpans, current_run
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut

log = Logger("schedora.worker")

INVALID_PAYLOAD = "invalid_payload"
INVALID_RESULT = "invalid_result"
MESSAGE_LENGTH_MAX = 8_000
TRACEBACK_LENGTH_MAX = 32_000
DRAINED = "its worker shuts down"
UPSTREAM_NOT_READ = "the results of what it depends on could not be read"


class WorkerLink(RunLink, ProcessLink, Protocol):
    """By what the handlers of a worker reach it, wherever they run."""


class Execute:
    """Runs handlers where they belong: on the loop, in threads, in processes."""

    def __init__(
        self,
        *,
        reader: JobReader,
        threads: ThreadPool,
        processes: Processes,
        result_bytes_max: int,
        run_spans: RunSpans | None = None,
    ) -> None:
        self._reader = reader
        self._run_spans = run_spans
        self._threads = threads
        self._processes = processes
        self._result_bytes_max = result_bytes_max

    async def __call__(self, run: Run, handler: Handler, link: WorkerLink) -> Outcome | None:
        """The outcome; None when nobody wants it any more, because the lease is gone. Never raises: whatever goes wrong
        fails the job and not the worker. Meanwhile ``run`` is the current one.
        """
        token = current_run.set(run)
        entered = None if self._run_spans is None else self._run_spans.enter(run)
        try:
            return await self._wanted(run, handler, link)
        except Exception as error:  # noqa: BLE001 - its job fails, and not the worker
            return _defect(run, error)
        finally:
            if self._run_spans is not None:
                self._run_spans.leave(entered)
            current_run.reset(token)

    async def _wanted(self, run: Run, handler: Handler, link: WorkerLink) -> Outcome | None:
        try:
            outcome = await self._outcome(run, handler, link)
        except asyncio.CancelledError:
            return stopped(run)
        # What is finished while draining is finished. What is over its time failed, however it ended.
        return outcome if run.stop_reason in (None, StopReason.DRAINED) else stopped(run)

    async def _outcome(self, run: Run, handler: Handler, link: WorkerLink) -> Outcome:
        job = run.job
        try:
            wanted = job.depends_on and handler.takes_context
            upstream = await self._reader.upstream_results(job.job_id) if wanted else {}
        except StoreUnavailable:
            return Released(reason=UPSTREAM_NOT_READ)
        if handler.executor is Executor.PROCESS:
            call = ProcessCall(target=handler.target, job=job, started_at=run.started_at, upstream=upstream)
            outcome = await self._processes.run(call, link=link)
            if isinstance(outcome, Succeeded) and outcome.result is not None:
                return checked_size(outcome.result, self._result_bytes_max)
            return outcome
        decoded = {key: None if text is None else decode_json(text) for key, text in upstream.items()}
        context = JobContext(job, link=link, upstream=decoded, result_bytes_max=self._result_bytes_max)
        return await outcome_of(
            self._call(run, handler, context), result_bytes_max=self._result_bytes_max, run=run
        )

    async def _call(self, run: Run, handler: Handler, context: JobContext) -> Any:
        bound = handler.bind(run.job.payload)
        if handler.executor is Executor.ASYNC:
            return await bound(context)
        loop = asyncio.get_running_loop()
        scope = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, scope.run, _as_futures_can_carry, bound, context)


async def outcome_of(call: Any, *, result_bytes_max: int, run: Run | None = None) -> Outcome:
    """What awaiting ``call`` comes to. Raises ``CancelledError`` when what ended it was a stop of ``run``."""
    try:
        result = await call
    except InvalidPayload as error:
        return Failed(kind=INVALID_PAYLOAD, message=storable(str(error)), retryable=False)
    except Snooze as snooze:
        return Snoozed(
            delay=snooze.delay, reason=None if snooze.reason is None else storable(_message(snooze))
        )
    except asyncio.CancelledError as error:
        if run is not None and run.stop_reason is not None:
            raise
        return failed(error)  # raised by the handler itself: nobody asked it to stop
    except BaseException as error:
        if run is not None and run.stop_reason is not None and not isinstance(error, Directive):
            raise asyncio.CancelledError from error  # it failed at cleaning up
        return failed(error)
    try:
        return checked_size(encode_json(result), result_bytes_max)
    except NotJson as error:
        return Failed(
            kind=INVALID_RESULT, message=storable(f"the result is not JSON: {error}"), retryable=False
        )


def checked_size(result: JsonText, bytes_max: int) -> Outcome:
    if (size := size_bytes(result)) > bytes_max:
        message = f"the result has {size} bytes encoded, and at most {bytes_max} are allowed"
        return Failed(kind=INVALID_RESULT, message=message, retryable=False)
    return Succeeded(result=result)


def failed(error: BaseException) -> Failed:
    """The outcome that an exception stands for."""
    kind = storable(type(error).__name__)
    trace = storable(_traceback(error), TRACEBACK_LENGTH_MAX)
    match error:
        case Discard():
            return Failed(kind=kind, message=storable(_message(error)), retryable=False)
        case Retry(after=after):
            return Failed(kind=kind, message=storable(_message(error)), retry_after=after)
        case _:
            return Failed(kind=kind, message=storable(_message(error)), traceback=trace)


def _defect(run: Run, error: Exception) -> Outcome:
    if run.stop_reason is StopReason.TIMED_OUT:
        return TimedOut(timeout=run.job.timeout)
    log.error("a run failed outside of its handler", job_id=str(run.job.job_id), exc_info=error)
    return failed(error)


def stopped(run: Run) -> Outcome | None:
    """The outcome of a run that was asked to stop."""
    match run.stop_reason:
        case StopReason.TIMED_OUT:
            return TimedOut(timeout=run.job.timeout)
        case StopReason.DRAINED:
            return Released(reason=DRAINED)
        case StopReason.LEASE_LOST:
            return None
        case None:
            # The loop itself is being torn down: the job goes back.
            return Released(reason=DRAINED)
        case _:
            assert_never(run.stop_reason)


def storable(text: str, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """``text`` as every store can keep it: valid Unicode, no NUL, of bounded length."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    if len(text) <= length_max:
        return text
    omission = f"\n… ({len(text)} characters) …\n"
    half = (length_max - len(omission)) // 2
    return f"{text[:half]}{omission}{text[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - __str__ is the user's code and may raise anything
        return f"<{type(error).__name__} whose message can't be printed: {type(second).__name__}>"


def _traceback(error: BaseException) -> str:
    """The part of the traceback that lies in the handler."""
    try:
        frames = tracebacks.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "schedora/application/pipeline" not in frame.filename]
        lines = tracebacks.format_list(own)
        lines += tracebacks.format_exception_only(error)
    except Exception as second:  # noqa: BLE001 - formatting calls the user's __str__ and __repr__
        return f"<traceback can't be printed: {type(second).__name__}>"
    return "".join(["Traceback (most recent call last):\n", *lines])


def _as_futures_can_carry(bound: BoundCall, context: JobContext) -> Any:
    """Futures can't carry StopIteration, and GeneratorExit closes what awaits them; all else passes through."""
    try:
        return bound(context)
    except (StopIteration, GeneratorExit) as error:
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error
