"""Logs are counted, and tracebacks that nobody meant are told."""

import json
from pathlib import Path
from typing import Any

from schedora_torture.log_files import read_logs


def write(path: Path, *lines: dict[str, Any] | str) -> None:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))


def test_lines_are_counted_by_level_and_errors_by_what_they_say(tmp_path: Path) -> None:
    write(
        tmp_path / "worker-1.1.log",
        {"level": "info", "message": "hello"},
        {"level": "error", "message": "job failed for good"},
        {"level": "error", "message": "job failed for good"},
    )
    write(tmp_path / "api-1.1.log", {"level": "warning", "message": "the store is away"})
    found = read_logs(tmp_path)
    assert (found.lines, dict(found.by_level)) == (4, {"warning": 1, "info": 1, "error": 2})
    assert dict(found.messages) == {"job failed for good": 2}
    assert found.tracebacks == ()


def test_tracebacks_are_told_by_what_they_raised_and_where_they_stand_first(tmp_path: Path) -> None:
    traceback = "Traceback (most recent call last):\n  File ...\nKeyError: 'oops'"
    for name in ("worker-1.1.log", "worker-2.1.log"):
        write(tmp_path / name, {"level": "error", "message": "service failed", "exception": traceback})
    (found,) = read_logs(tmp_path).tracebacks
    assert (found.said, found.times, found.first_in) == (
        "service failed: KeyError: 'oops'", 2, "worker-1.1.log",
    )  # fmt: skip


def test_what_the_torture_raises_on_purpose_is_no_finding(tmp_path: Path) -> None:
    raised = "Traceback (most recent call last):\nschedora_torture.handlers.Intended: attempt 1"
    write(tmp_path / "worker-1.1.log", {"level": "warning", "message": "attempt failed", "exception": raised})
    assert read_logs(tmp_path).tracebacks == ()


def test_last_words_past_the_log_are_a_traceback(tmp_path: Path) -> None:
    write(
        tmp_path / "api-1.1.log", "Traceback (most recent call last):", "  File ...", "MemoryError",
        {"level": "info", "message": "stopping"}, "Schedora listens",
    )  # fmt: skip
    found = read_logs(tmp_path)
    assert [one.said for one in found.tracebacks] == ["MemoryError"]
    assert dict(found.by_level) == {"error": 1, "info": 2}


def test_of_a_group_of_exceptions_the_last_that_it_holds_is_told(tmp_path: Path) -> None:
    write(
        tmp_path / "api-1.1.log",
        "  + Exception Group Traceback (most recent call last):",
        "  |   File ...",
        "  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)",
        "  +-+---------------- 1 ----------------",
        "    | Traceback (most recent call last):",
        "    | KeyError: 'oops'",
        "    +------------------------------------",
    )
    assert [one.said for one in read_logs(tmp_path).tracebacks] == ["KeyError: 'oops'"]


def test_a_crash_of_the_interpreter_is_told(tmp_path: Path) -> None:
    write(
        tmp_path / "worker-1.1.log", "Fatal Python error: Segmentation fault", "", "Thread 0x1:", "  File ...",
    )  # fmt: skip
    found = read_logs(tmp_path)
    assert [one.said for one in found.tracebacks] == ["Fatal Python error: Segmentation fault"]
    assert dict(found.by_level) == {"error": 1}


def test_all_sorts_of_tracebacks_are_told(tmp_path: Path) -> None:
    lines = [
        {"message": f"no. {n}", "exception": f"Traceback (most recent call last):\nError: {n}"}
        for n in range(60)
    ]
    write(tmp_path / "worker-1.1.log", *lines)
    assert len(read_logs(tmp_path).tracebacks) == 60


def test_logs_of_servers_are_not_schedoras(tmp_path: Path) -> None:
    for name in ("postgres-server-postgresql-Thu.log", "redis-server.log"):
        write(tmp_path / name, "Traceback (most recent call last):", "nothing of ours")
    assert read_logs(tmp_path).lines == 0
