"""Handlers in real child processes: what they come to, what they say, and that they are really killed."""

import asyncio
import os
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from schedora.adapters.system import processes
from schedora.adapters.system.child_command import CHILD_COMMAND
from schedora.adapters.system.processes import PROCESS_DIED, ChildProcesses
from schedora.application.pipeline.execute import INVALID_PAYLOAD, INVALID_RESULT
from schedora.application.ports.processes import ProcessCall
from schedora.application.telemetry.span import process_span_id
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome, Snoozed, Succeeded
from schedora.domain.trace import TraceContext
from schedora.entrypoints.child import HANDLER_NOT_FOUND
from tests.builders import NOON, a_claimed_job
from tests.programs import PATIENCE_SECONDS

HANDLERS = "tests.unit.entrypoints.child_handlers"
LOGS = {"LOG_LEVEL": "INFO", "LOG_FORMAT": "json", "LOG_REDACT": "iban", "JOB_LOG_LEVEL": "INFO"}


class Reports:
    """What a child said while its handler ran."""

    def __init__(self) -> None:
        self.progress: list[JsonText] = []
        self.lines: list[JsonText] = []
        self.spans: list[JsonText] = []

    def report(self, progress: JsonText) -> None:
        self.progress.append(progress)

    def leave_line(self, line: JsonText) -> None:
        self.lines.append(line)

    def leave_span(self, span: JsonText) -> None:
        self.spans.append(span)

    def written(self, completion: Completion, released: AbstractSet[str]) -> None:
        raise AssertionError((completion, released))


@pytest.fixture
async def children(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChildProcesses]:
    # A busy machine is slow to end them.
    monkeypatch.setattr(processes, "LAST_BREATH_SECONDS", PATIENCE_SECONDS)
    made = ChildProcesses(CHILD_COMMAND, idle_max=2, environment=LOGS)
    yield made
    await made.close()


def a_call(name: str, payload: dict[str, Any] | None = None, **fields: Any) -> ProcessCall:
    job = a_claimed_job(payload=JsonText(orjson.dumps(payload or {}).decode()), **fields)
    target = name if ":" in name else f"{HANDLERS}:{name}"
    upstream = {"before": JsonText('{"n": 1}'), "empty": None}
    return ProcessCall(target=target, job=job, started_at=NOON, upstream=upstream)


async def run(children: ChildProcesses, call: ProcessCall, reports: Reports | None = None) -> Outcome:
    return await children.run(call, link=reports or Reports())


def result(outcome: Outcome) -> Any:
    assert isinstance(outcome, Succeeded)
    assert outcome.result is not None
    return orjson.loads(outcome.result)


async def test_arguments_in_and_result_out(children: ChildProcesses) -> None:
    answer = result(await run(children, a_call("answers", {"value": ["ä", None]}, attempt=2)))
    assert answer.pop("pid") != os.getpid()
    assert answer == {"value": ["ä", None], "upstream": {"before": {"n": 1}, "empty": None}, "attempt": 3}


async def test_what_a_handler_starts_hears_none_of_the_calls(children: ChildProcesses) -> None:
    for _ in range(2):
        assert result(await run(children, a_call("listens"))) == ["", ""]


async def test_a_plain_function_may_run_an_event_loop_of_its_own(children: ChildProcesses) -> None:
    assert result(await run(children, a_call("loops"))) == "looped"
    assert result(await run(children, a_call("awaits"))) == "awaited"


async def test_a_child_is_kept_for_the_next_call(children: ChildProcesses) -> None:
    pids = [result(await run(children, a_call("answers", {"value": n})))["pid"] for n in range(3)]
    assert len(set(pids)) == 1


async def test_calls_at_once_have_a_child_each(children: ChildProcesses) -> None:
    outcomes = await asyncio.gather(*(run(children, a_call("answers", {"value": n})) for n in range(3)))
    answers = [result(outcome) for outcome in outcomes]
    assert [answer["value"] for answer in answers] == [0, 1, 2]
    assert len({answer["pid"] for answer in answers}) == 3


async def test_progress_arrives_in_order(children: ChildProcesses) -> None:
    reports = Reports()
    assert await run(children, a_call("reports"), reports) == Succeeded(result=JsonText("null"))
    assert [orjson.loads(document) for document in reports.progress] == [
        {"fraction": 0.5, "message": "half"},
        {"fraction": 1, "message": None},
    ]


async def test_what_a_handler_raises_is_told(children: ChildProcesses) -> None:
    error = await run(children, a_call("raises", {"what": "oops"}))
    assert isinstance(error, Failed)
    assert (error.kind, error.message, error.retryable) == ("ValueError", "oops", True)
    assert error.traceback is not None
    assert "child_handlers.py" in error.traceback
    retry = await run(children, a_call("raises", {"what": "retry"}))
    assert isinstance(retry, Failed)
    assert retry.retry_after is not None
    assert retry.retry_after.total_seconds() == 7
    discard = await run(children, a_call("raises", {"what": "discard"}))
    assert isinstance(discard, Failed)
    assert (discard.message, discard.retryable) == ("useless", False)
    assert isinstance(await run(children, a_call("raises", {"what": "snooze"})), Snoozed)
    left = await run(children, a_call("raises", {"what": "exit"}))
    assert isinstance(left, Failed)
    assert left.kind == "SystemExit"


async def test_a_payload_that_does_not_fit_is_refused(children: ChildProcesses) -> None:
    outcome = await run(children, a_call("raises", {"wat": 1}))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == (INVALID_PAYLOAD, False)


async def test_a_result_that_is_no_json_is_refused(children: ChildProcesses) -> None:
    outcome = await run(children, a_call("returns_what_is_no_json"))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == (INVALID_RESULT, False)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (f"{HANDLERS}:nowhere", "has no attribute 'nowhere'"),
        (f"{HANDLERS}:not_registered", "is not a registered handler"),
        ("tests.no_such_module:x", "No module named"),
    ],
)
async def test_a_handler_that_is_not_there_is_named(children: ChildProcesses, target: str, said: str) -> None:
    outcome = await run(children, a_call(target))
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.retryable) == (HANDLER_NOT_FOUND, False)
    assert target in outcome.message
    assert said in outcome.message


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "exited with status 7"),
        ("segfault", "signal SIGSEGV"),
        ("real-time signal", "signal SIGRTMIN"),
    ],
)
async def test_a_child_that_dies_costs_one_attempt(children: ChildProcesses, how: str, said: str) -> None:
    outcome = await run(children, a_call("dies", {"how": how}))
    assert isinstance(outcome, Failed)
    assert outcome.kind == PROCESS_DIED
    assert outcome.message.partition(" (peak memory at least ")[0].endswith(said)
    assert isinstance(await run(children, a_call("answers", {"value": 1})), Succeeded)


async def test_cancelling_kills(children: ChildProcesses, tmp_path: Path) -> None:
    running = asyncio.create_task(run(children, a_call("waits", {"directory": str(tmp_path)})))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := [int(path.name) for path in tmp_path.iterdir()]):
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not psutil.pid_exists(found[0])


async def test_one_that_died_while_idle_is_replaced(children: ChildProcesses) -> None:
    first = result(await run(children, a_call("answers", {"value": 1})))["pid"]
    child = psutil.Process(first)
    child.kill()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while psutil.pid_exists(first):
            await asyncio.sleep(0.01)
    assert result(await run(children, a_call("answers", {"value": 2})))["value"] == 2


async def test_closing_ends_all(tmp_path: Path) -> None:
    children = ChildProcesses(CHILD_COMMAND, idle_max=2, environment=LOGS)
    idle = result(await run(children, a_call("answers", {"value": 1})))["pid"]
    await children.close()
    assert not psutil.pid_exists(idle)


async def test_a_child_whose_worker_is_gone_ends(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        *CHILD_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **LOGS},
    )  # fmt: skip
    assert child.stdin is not None
    child.stdin.close()
    assert await child.wait() == 1


async def test_a_child_logs_as_its_worker_does(
    children: ChildProcesses, capfd: pytest.CaptureFixture[str]
) -> None:
    await run(children, a_call("logs"))
    [line] = [line for line in capfd.readouterr().err.splitlines() if "from the child" in line]
    told = orjson.loads(line)
    assert (told["level"], told["message"], told["answer"]) == ("info", "from the child", 42)
    assert {"timestamp", "job_id", "worker_id", "trace_id"} <= told.keys()


async def test_spans_of_a_handler_come_to_the_worker_as_children_of_the_attempt(
    children: ChildProcesses,
) -> None:
    reports = Reports()
    call = a_call("tests.unit.entrypoints.traced_handlers:charges")
    answers = [result(await run(children, call, reports)) for _ in range(2)]
    span_id = process_span_id(call.job.job_id, call.job.claimed_at)
    traceparent = TraceContext.stored(call.job.traceparent).followed_by(span_id).traceparent
    assert answers == [{"traceparent": traceparent, "carried_traceparent": traceparent}] * 2
    spans = [orjson.loads(span) for span in reports.spans]
    assert [span["name"] for span in spans] == ["card", "charge"] * 2
    assert {span["parentSpanId"] for span in spans if span["name"] == "charge"} == {span_id}
    assert all(
        card["parentSpanId"] == charge["spanId"] for card, charge in zip(spans[::2], spans[1::2], strict=True)
    )


async def test_what_a_child_logs_is_left_with_its_run(capfd: pytest.CaptureFixture[str]) -> None:
    children = ChildProcesses(CHILD_COMMAND, idle_max=1, environment=LOGS | {"LOG_LEVEL": "ERROR"})
    reports = Reports()
    try:
        await children.run(a_call("logs"), link=reports)
    finally:
        await children.close()
    ours, theirs, broke = [orjson.loads(line) for line in reports.lines]
    assert (ours["message"], ours["answer"], ours["iban"]) == ("from the child", 42, "***")
    assert (theirs["level"], theirs["logger"], theirs["message"]) == ("info", "theirs", "from elsewhere")
    assert broke["exception"].endswith("base 10: 'it broke'")
    assert not {"job_id", "worker_id", "trace_id"} & ours.keys()
    written = [orjson.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [(line["level"], line["message"]) for line in written] == [("error", "failed")]
    assert written[0]["job_id"]
