"""A child process of a worker: runs one handler at a time, told so on its standard input.

Started by ``adapters/system/processes.py`` as ``python -m schedora.entrypoints.child``. What its handlers
submit goes to the database that ``DATABASE_URL`` names; with ``--memory`` there is none, and they are told so.
"""

import asyncio
import faulthandler
import importlib
import os
import queue
import signal
import sys
import threading
from typing import IO, Any

from attrs import evolve

from schedora.adapters.system.child_command import MEMORY
from schedora.adapters.system.child_protocol import (
    Ended,
    LineLeft,
    Progress,
    Said,
    SpanLeft,
    Written,
    decode_call,
    encode_said,
)
from schedora.adapters.system.crash_recorder import CrashRecorder
from schedora.adapters.system.parent_death_pipe import hang_on
from schedora.adapters.telemetry.log_capture import keeping_lines
from schedora.adapters.telemetry.logs import configure_logs
from schedora.adapters.telemetry.run_spans import HandlerSpans
from schedora.application.context import JobContext, run_without_waiting
from schedora.application.encoding import decode_json
from schedora.application.handlers import Executor, Handler
from schedora.application.pipeline.complete import complete_within
from schedora.application.pipeline.execute import failed, outcome_of, storable
from schedora.application.ports.processes import ProcessCall
from schedora.application.run_scope import RunSpans, current_run
from schedora.application.telemetry.redaction import redaction_of
from schedora.domain.completion import settle
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome, Succeeded
from schedora.entrypoints.sdk.definition import JobFunction
from schedora.entrypoints.sdk.registration import natural_executor
from schedora.entrypoints.sdk.systems import NoSystem
from schedora.entrypoints.settings import LogFormat

RESULT_BYTES_MAX = 512 * 1024 * 1024
"""A guard for this process alone: the worker holds results against the limit that is set."""

HANDLER_NOT_FOUND = "handler_not_found"

OUT_OF_REACH = NoSystem(
    "a handler in a process of its own can't reach a worker that keeps its jobs in memory: run the handler in"
    " a thread or on the event loop, or the worker on PostgreSQL"
)


def main() -> None:
    hang_on(signal.SIGKILL)  # of its worker
    box = CrashRecorder.given()
    faulthandler.enable(file=2 if box is None else box.descriptor)
    answers = Answers(os.fdopen(os.dup(1), "wb"))
    run_spans = HandlerSpans()
    # What a handler prints must not end up among the answers, nor may it, or what it starts, read the calls.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    told = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is what is wanted
        os.dup2(nothing.fileno(), 0)
    _configure_logs()
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(told, calls), daemon=True, name="schedora-calls").start()
    while True:
        call = decode_call(calls.get())
        answers.say(Ended(outcome=_run(call, answers, run_spans)))


def _configure_logs() -> None:
    """As the worker has set up its own."""
    configure_logs(
        level=os.environ["LOG_LEVEL"],
        json_lines=os.environ["LOG_FORMAT"] == LogFormat.JSON,
        kept_level=os.environ["JOB_LOG_LEVEL"],
        redaction=redaction_of(os.environ["LOG_REDACT"]),
    )


def _listen(told: IO[bytes], calls: "queue.SimpleQueue[bytes]") -> None:
    """Passes calls on. When the worker is gone, whatever runs here, and what it has started, is nobody's any more."""
    for line in told:
        calls.put(line)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


class Answers:
    """The way to the worker. Whole lines, whichever threads they come from."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, said: Said) -> None:
        line = encode_said(said)
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def _run(call: ProcessCall, answers: Answers, run_spans: RunSpans) -> Outcome:
    known = call.target.partition(":")[0] in sys.modules
    try:
        function = find_function(call.target)
    except Exception as error:  # noqa: BLE001 - importing runs the user's code
        why = failed(error)
        message = f"{call.target} can't be imported in a child process: {why.kind}: {why.message}"
        return evolve(why, kind=HANDLER_NOT_FOUND, message=storable(message), retryable=False)
    if not known:
        _configure_logs()  # the module may have set up logs for itself
    if MEMORY in sys.argv:
        function.submitter.systems = OUT_OF_REACH
    upstream = {key: None if text is None else decode_json(text) for key, text in call.upstream.items()}
    scope = _Scope(call, answers)
    token = current_run.set(scope)
    entered = run_spans.enter(scope)
    context = JobContext(
        call.job,
        link=_Link(call, answers),
        upstream=upstream,
        result_bytes_max=RESULT_BYTES_MAX,
    )
    try:
        with keeping_lines(os.environ["JOB_LOG_LEVEL"], redaction_of(os.environ["LOG_REDACT"])):
            if natural_executor(function.function) is Executor.ASYNC:
                awaited = _awaited(function.handler, call, context)
                return asyncio.run(outcome_of(awaited, result_bytes_max=RESULT_BYTES_MAX))
            # Not on an event loop: a plain function may run one of its own.
            called = _called(function.handler, call, context)
            outcome: Outcome = run_without_waiting(outcome_of(called, result_bytes_max=RESULT_BYTES_MAX))
            return outcome
    finally:
        run_spans.leave(entered)
        current_run.reset(token)


async def _awaited(handler: Handler, call: ProcessCall, context: JobContext) -> Any:
    return await handler.bind(call.job.payload)(context)


async def _called(handler: Handler, call: ProcessCall, context: JobContext) -> Any:
    """Never suspends."""
    return handler.bind(call.job.payload)(context)


def find_function(target: str) -> JobFunction[..., Any, ..., Any]:
    """The job function that ``target`` (``module:qualified.name``) names.

    Raises ``ImportError``, ``AttributeError``, and ``TypeError`` when it names something else.
    """
    module_name, _, qualified_name = target.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in qualified_name.split("."):
        found = getattr(found, part)
    if not isinstance(found, JobFunction):
        raise TypeError(f"{target} is not a registered handler")
    return found


class _Scope:
    """The run, as its handler finds it here: what it leaves goes to the worker."""

    def __init__(self, call: ProcessCall, answers: Answers) -> None:
        self.job = call.job
        self.started_at = call.started_at
        self._answers = answers

    def leave_line(self, line: JsonText) -> None:
        self._answers.say(LineLeft(line=line))

    def leave_span(self, span: JsonText) -> None:
        self._answers.say(SpanLeft(span=span))


class _Link:
    cancelled = False
    """Whoever wants to end this run ends its process."""

    def __init__(self, call: ProcessCall, answers: Answers) -> None:
        self._call = call
        self._answers = answers

    def report(self, progress: JsonText) -> None:
        self._answers.say(Progress(document=progress))

    async def complete_in(self, connection: object, result: JsonText) -> None:
        # Imported where it is needed: most handlers never do, and each child starts the sooner.
        from schedora.adapters.postgres.caller import session_on  # noqa: PLC0415
        from schedora.adapters.postgres.unit_of_work import PostgresJoinedUnitOfWork  # noqa: PLC0415

        unit = PostgresJoinedUnitOfWork(session_on(connection))
        completion = settle(
            self._call.job,
            Succeeded(result=result),
            started_at=self._call.started_at,
            ended_at=max(await unit.now(), self._call.started_at),
            unit_random=0.0,  # places retries
            worker_deaths_max=1,
        )
        released = await complete_within(unit, completion)
        self._answers.say(Written(completion=completion, released=released))


if __name__ == "__main__":
    main()
