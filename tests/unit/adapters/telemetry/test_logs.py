import gc
import io
import json
import logging
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog

from schedora.adapters.telemetry import logs
from schedora.adapters.telemetry.logs import configure_logs
from schedora.application.log import Logger, run_logger
from schedora.application.pipeline.run import Run
from schedora.application.request_scope import current_request
from schedora.application.run_scope import current_run
from schedora.application.telemetry.repetition import SPAN_SECONDS, TOLD_MAX
from tests.builders import NOON, SECOND, TRACE, a_claimed_job, a_workflow_id

THEIRS = ("uvicorn.access", "uvicorn.error", "alembic", "asyncio")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, *THEIRS)]
    before = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in loggers]
    yield
    for logger, level, handlers, propagate in before:
        logger.level, logger.handlers[:], logger.propagate = level, handlers, propagate
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Log:
    def __init__(self, level: str, *, json_lines: bool) -> None:
        self._stream = io.StringIO()
        configure_logs(level=level, json_lines=json_lines, stream=self._stream)
        self.ours = structlog.get_logger("schedora.test")

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line, parse_constant=pytest.fail) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Log:
    return Log("INFO", json_lines=True)


@pytest.fixture
def console() -> Log:
    return Log("INFO", json_lines=False)


def test_each_line_is_an_object_that_begins_with_when_how_grave_and_what(log: Log) -> None:
    log.ours.info("job done", job_id="j1", duration_ms=1.5)
    [line] = log.lines
    assert list(line)[:3] == ["timestamp", "level", "message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {
        "level": "info", "message": "job done", "job_id": "j1", "duration_ms": 1.5, "logger": "schedora.test",
    }  # fmt: skip


def test_what_is_below_the_level_is_not_told(log: Log) -> None:
    log.ours.debug("a")
    log.ours.warning("b")
    logging.getLogger("other").debug("c")
    assert [line["message"] for line in log.lines] == ["b"]


def test_a_line_that_nobody_wants_is_not_worked_out(log: Log) -> None:
    worked_out: list[str] = []

    def note(_: object, __: str, event: dict[str, Any]) -> dict[str, Any]:
        worked_out.append(event["event"])
        return event

    structlog.get_config()["processors"].insert(0, note)
    run = Run(a_claimed_job(), started_at=NOON, began=SECOND)
    for logger in (Logger("schedora.test"), log.ours, log.ours.bind(a=1), run_logger(run, dict)):
        logger.debug("x %d", "y", z=1)
        logger.info("wanted")
    assert worked_out == ["wanted"] * 4


def test_the_level_that_is_kept_is_wanted_of_handlers_alone() -> None:
    configure_logs(level="WARNING", json_lines=True, kept_level="DEBUG", stream=io.StringIO())
    run = Run(a_claimed_job(), started_at=NOON, began=SECOND)
    heard: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logging.getLogger().addHandler(Keeper())
    run_logger(run, dict).debug("a handler's")
    structlog.get_logger("theirs").debug("a library's")
    Logger("schedora.worker").debug("ours")
    assert heard == ["a handler's", "a library's"]


def test_other_libraries_speak_in_the_same_shape(log: Log) -> None:
    logging.getLogger("other").warning("%d of %s", 2, "them", extra={"job_id": "j1"})
    [line] = log.lines
    assert (line["level"], line["message"], line["logger"], line["job_id"]) == (
        "warning", "2 of them", "other", "j1",
    )  # fmt: skip


@pytest.mark.parametrize("name", THEIRS)
def test_chatty_libraries_are_heard_when_it_is_grave(name: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    logging.getLogger(name).addHandler(handler)
    log = Log("DEBUG", json_lines=True)
    logging.getLogger(name).info("listens")
    logging.getLogger(name).error("broke")
    assert [line["message"] for line in log.lines] == ["broke"]
    assert handler not in logging.getLogger(name).handlers


def test_they_are_no_louder_than_all_others() -> None:
    log = Log("ERROR", json_lines=True)
    logging.getLogger("uvicorn.error").warning("x")
    assert log.lines == []


def test_what_is_bound_is_told(log: Log) -> None:
    structlog.contextvars.bind_contextvars(correlation_id="c1")
    log.ours.bind(worker_id="w1").info("x")
    [line] = log.lines
    assert (line["correlation_id"], line["worker_id"]) == ("c1", "w1")


def test_an_exception_is_one_line_without_the_values_of_variables(log: Log) -> None:
    secret = "open" + "-sesame"
    try:
        int("no" + str(len(secret)))
    except ValueError:
        log.ours.exception("it failed")
        logging.getLogger("other").exception("so did this")
    lines = log.lines
    assert [line["message"] for line in lines] == ["it failed", "so did this"]
    for line in lines:
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert "ValueError: invalid literal" in line["exception"]
    assert secret not in log.text


class _Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("a\nb\x00\x1b[31m", "a\nb\x00\x1b[31m"), ("\ud800", r"\ud800"), (1 << 70, 1 << 70), (float("nan"), None), ({1: 2}, {"1": 2}),
        ({"a"}, "{'a'}"), (LOOP, "[[...]]"), (["\udfff"], r"['\udfff']"), (_Unspeakable(), None), (b"x", "b'x'"),
        (10**5_000, "<int whose repr raises ValueError>"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_any_value_is_told_somehow(value: object, told: object) -> None:
    log = Log("INFO", json_lines=True)  # here, so that no handler of pytest's hears of it
    log.ours.info("x", value=value, job_id="j1")
    [line] = log.lines
    assert (line["message"], line["job_id"]) == ("x", "j1")
    if told is None:
        assert line["value"] is None or "_Unspeakable" in line["value"]
    else:
        assert line["value"] == told


def test_a_value_that_can_not_be_told_does_not_take_its_neighbours_along(log: Log) -> None:
    log.ours.info(
        "\ud800",
        value=float("inf"),
        big=1 << 70,
        text="grüße",
        flag=True,
        none=None,
        more=[1, {"a": 1 << 70}],
    )
    [line] = log.lines
    del line["timestamp"], line["logger"], line["level"]
    assert line == {
        "message": r"\ud800", "value": "inf", "big": 1 << 70, "text": "grüße", "flag": True, "none": None,
        "more": f"[1, {{'a': {1 << 70}}}]",
    }  # fmt: skip


def test_a_field_does_not_take_the_place_of_the_message(log: Log) -> None:
    log.ours.info("sent", message="hello", timestamp="never", level="none")
    [line] = log.lines
    assert (line["message"], line["message_"], line["level"]) == ("sent", "hello", "info")
    assert line["timestamp"] != "never"


@pytest.mark.parametrize("json_lines", [True, False])
def test_urls_tell_no_password(json_lines: bool) -> None:
    log = Log("INFO", json_lines=json_lines)
    url = "postgresql://ada:open-sesame@db.example.org:5432/jobs"
    log.ours.warning(f"can't reach {url}", url=url, urls=[url, "redis://:open-sesame@cache"])
    log.ours.error("away", exc_info=ConnectionError(url))
    assert "open-sesame" not in log.text
    assert "postgresql://ada:***@db.example.org:5432/jobs" in log.text
    assert "redis://:***@cache" in log.text


@pytest.mark.parametrize(
    ("message", "told"),
    [(None, ""), (5, "5"), ({"password": "hunter2"}, "{'password': '***'}"), (ValueError("no"), "no")],
)
def test_whatever_is_logged_as_a_message_is_text(log: Log, message: object, told: str) -> None:
    log.ours.info(message, n=1)
    logging.getLogger("theirs").warning(message)
    assert [line["message"] for line in log.lines] == [told, str(message) if message is None else told]


def test_urls_without_a_password_stay_as_they_are(log: Log) -> None:
    for url in ("http://127.0.0.1:8000/a@b", "postgresql://ada@db/x", "see http://x:80, then y@z"):
        log.ours.info(url)
    assert [line["message"] for line in log.lines] == [
        "http://127.0.0.1:8000/a@b", "postgresql://ada@db/x", "see http://x:80, then y@z",
    ]  # fmt: skip


def test_people_get_lines_for_people(console: Log) -> None:
    console.ours.info("job done", job_id="j1")
    logging.getLogger("other").warning("too")
    first, second = console.text.splitlines()
    assert "job done" in first
    assert "job_id=j1" in first
    assert "warning" in second
    assert "\x1b" not in console.text


def test_people_get_tracebacks_as_they_know_them(console: Log) -> None:
    secret = "open" + "-sesame"
    try:
        int("no" + str(len(secret)))
    except ValueError:
        console.ours.exception("it failed")
    assert "Traceback (most recent call last):\n" in console.text
    assert "ValueError: invalid literal" in console.text
    assert secret not in console.text


def test_a_later_call_replaces_an_earlier_one(log: Log) -> None:
    later = Log("WARNING", json_lines=True)
    log.ours.info("x")
    later.ours.warning("y")
    assert (log.text, [line["message"] for line in later.lines]) == ("", ["y"])


def test_it_goes_to_standard_error_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(level="INFO", json_lines=True)
    structlog.get_logger("x").info("said")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["message"] == "said"


class ARequest:
    """A request about a job."""

    correlation_id = "c1"
    trace = TRACE
    subject: Mapping[str, str] = {"job_id": "j1"}


def test_what_is_logged_in_a_request_carries_its_identity(log: Log) -> None:
    token = current_request.set(ARequest())
    try:
        logging.getLogger("deep.inside").warning("a")
        log.ours.info("b", job_id="another")
    finally:
        current_request.reset(token)
    log.ours.info("c")
    deep, ours, after = log.lines
    assert (deep["job_id"], deep["correlation_id"], deep["trace_id"]) == ("j1", "c1", TRACE.trace_id)
    assert (ours["job_id"], ours["correlation_id"]) == ("another", "c1")
    assert not {"job_id", "correlation_id", "trace_id"} & after.keys()


def test_what_is_logged_in_a_run_carries_its_identity_and_not_that_of_a_request(log: Log) -> None:
    job = a_claimed_job(workflow_id=a_workflow_id())
    run = Run(job, started_at=NOON, began=SECOND)
    in_request, in_run = current_request.set(ARequest()), current_run.set(run)
    try:
        logging.getLogger("deep.inside").warning("a")
    finally:
        current_run.reset(in_run)
        current_request.reset(in_request)
    [line] = log.lines
    assert {name: line.get(name) for name in ("job_id", "job_type", "worker_id", "workflow_id", "attempt", "trace_id")} == {
        "job_id": str(job.job_id), "job_type": "work", "worker_id": "w1", "workflow_id": str(job.workflow_id),
        "attempt": 1, "trace_id": TRACE.trace_id,
    }  # fmt: skip
    assert "correlation_id" not in line


@pytest.mark.parametrize("json_lines", [True, False])
def test_no_secret_is_told_wherever_it_stands(json_lines: bool) -> None:
    log = Log("INFO", json_lines=json_lines)
    log.ours.info("login password=hunter2", token="hunter2", deep={"a": [{"api_key": "hunter2"}]})
    logging.getLogger("other").warning(
        "Authorization: Bearer %s", "hunter2hunter2", extra={"cookie": "hunter2"}
    )
    log.ours.error("x", exc_info=ValueError("secret=hunter2"))
    structlog.contextvars.bind_contextvars(passphrase="hunter2")
    log.ours.info("x")
    assert "hunter2" not in log.text


def test_a_message_that_breaks_what_looks_at_it_costs_nobody_anything() -> None:
    log = Log("INFO", json_lines=True)  # here, so that no handler of pytest's hears of it
    logging.getLogger("other").warning(_Unspeakable())
    [line] = log.lines
    assert "_Unspeakable" in line["message"]


def test_a_mistake_in_a_line_does_not_cost_it(capsys: pytest.CaptureFixture[str]) -> None:
    log = Log("INFO", json_lines=True)  # here, so that no handler of pytest's hears of it
    logging.getLogger("other").warning("%d of %s", "two", extra={"job_id": "j1"})
    log.ours.info("%d", "two")
    first, second = log.lines
    assert (first["message"], first["job_id"]) == ("%d of %s ('two',)", "j1")
    assert second["message"]
    assert capsys.readouterr().err == ""


def test_lines_of_the_level_that_is_kept_reach_whoever_keeps_them_and_are_not_written() -> None:
    stream = io.StringIO()
    configure_logs(level="ERROR", json_lines=True, kept_level="INFO", stream=stream)
    heard: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    logging.getLogger().addHandler(Keeper())
    structlog.get_logger("schedora.handler").info("a")
    logging.getLogger("other").info("b")
    structlog.get_logger("schedora.worker").info("ours are not")
    logging.getLogger("other").debug("nor this")
    assert (heard, stream.getvalue()) == (["a", "b"], "")


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list["ATimer"]:
    """Those that were started."""
    started: list[ATimer] = []
    monkeypatch.setattr(logs.threading, "Timer", lambda seconds, call: ATimer(seconds, call, started))  # type: ignore[attr-defined] # what it imports
    return started


class ATimer:
    daemon = False

    def __init__(self, seconds: float, call: Callable[[], None], started: list["ATimer"]) -> None:
        self.seconds = seconds
        self.call = call
        self._started = started

    def start(self) -> None:
        assert self.daemon, "it must not keep a process alive"
        self._started.append(self)


def test_of_lines_that_repeat_themselves_some_are_told_and_how_many_more_there_were(
    timers: list[ATimer], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)  # type: ignore[attr-defined] # what it imports
    log = Log("INFO", json_lines=True)
    token = current_request.set(ARequest())
    for number in range(TOLD_MAX + 5):
        log.ours.warning("odd", n=number)
        logging.getLogger("other").warning("%d of them", number)
    current_request.reset(token)
    log.ours.error("odd")
    assert len(log.lines) == 2 * TOLD_MAX + 1
    [timer] = timers
    assert 0 < timer.seconds <= SPAN_SECONDS
    now += SPAN_SECONDS
    timer.call()
    ours, others = log.lines[-2:]
    assert (ours["message"], ours["repeated"], ours["n"], ours["correlation_id"], ours["level"]) == (
        "repeated 5 times: odd", 5, TOLD_MAX + 4, "c1", "warning",
    )  # fmt: skip
    assert others["message"] == f"repeated 5 times: {TOLD_MAX + 4} of them"
    log.ours.warning("odd")
    assert log.lines[-1]["message"] == "odd"
    assert len(timers) == 1


def test_long_messages_are_not_kept_in_memory(timers: list[ATimer]) -> None:
    Log("INFO", json_lines=True)  # here, so that no handler of pytest's hears of it
    message = AText("long")
    kept = weakref.ref(message)
    logging.getLogger("theirs").warning(message)
    del message
    gc.collect()
    assert kept() is None


class AText(str):  # noqa: SLOT000 - unlike others, one that can be looked after
    pass


def test_what_was_held_back_is_told_at_the_end(timers: list[ATimer]) -> None:
    log = Log("INFO", json_lines=True)
    for _ in range(TOLD_MAX + 1):
        log.ours.warning("odd")
    [writer] = logging.getLogger().handlers
    writer.close()
    assert log.lines[-1]["message"] == "repeated 1 times: odd"


def test_handlers_and_requests_and_who_asks_for_detail_may_repeat_themselves(timers: list[ATimer]) -> None:
    log = Log("DEBUG", json_lines=True)
    token = current_run.set(Run(a_claimed_job(), started_at=NOON, began=SECOND))
    for _ in range(50):
        logging.getLogger("theirs").warning("a")
    current_run.reset(token)
    for _ in range(50):
        structlog.get_logger("schedora.requests").info("request")
        structlog.get_logger("schedora.attempts").error("job failed for good")
        log.ours.debug("detail")
    assert len(log.lines) == 200
    assert timers == []


class _Traitor(dict[str, Any]):
    """Breaks whoever looks into it."""

    def items(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_value_that_breaks_what_looks_at_it_costs_neither_the_line_nor_whoever_logs(
    json_lines: bool,
) -> None:
    log = Log("INFO", json_lines=json_lines)
    log.ours.info("told", value=_Traitor(a=1), odd=_Unspeakable())
    log.ours.info("too", odd=_Unspeakable())
    first, second = log.text.splitlines()
    assert "told" in first
    assert "RuntimeError" in first
    assert "too" in second
