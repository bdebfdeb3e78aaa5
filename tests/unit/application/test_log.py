"""Where lines go: to structlog where that is set up, else to the standard library's logging."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from schedora.application.log import Logger


@pytest.fixture
def nothing_set_up() -> Iterator[None]:
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if before is not None:
        structlog.configure(**before)


@pytest.mark.usefixtures("nothing_set_up")
def test_a_program_that_set_nothing_up_gets_records(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Logger("schedora.test")
    with caplog.at_level(logging.INFO, logger="schedora.test"):
        log.bind(job_id="j").warning("odd", name="n", message="m")
        log.debug("not wanted")
    [record] = caplog.records
    assert (record.name, record.levelname) == ("schedora.test", "WARNING")
    assert record.getMessage() == "odd job_id=j message=m name=n"
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("nothing_set_up")
def test_an_exception_is_told_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    try:
        [].pop()
    except IndexError:
        Logger("schedora.test").exception("failed")
    assert caplog.text.count("Traceback") == 1
    assert "Traceback" in caplog.records[0].getMessage()
    assert "IndexError: pop from empty list" in caplog.records[0].getMessage()


@pytest.mark.usefixtures("nothing_set_up")
def test_secrets_are_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    Logger("schedora.test").warning(
        "at postgresql://ada:hunter2@db", password="hunter2", n={"token": "hunter2"}
    )
    assert "hunter2" not in caplog.text
    assert "n={'token': '***'} password=***" in caplog.records[0].getMessage()


def test_a_program_that_set_structlog_up_gets_events() -> None:
    log = Logger("schedora.test")
    with capture_logs() as logs:
        log.info("something", answer=42)
        log.debug("in detail")
    assert logs == [
        {"event": "something", "log_level": "info", "answer": 42},
        {"event": "in detail", "log_level": "debug"},
    ]
