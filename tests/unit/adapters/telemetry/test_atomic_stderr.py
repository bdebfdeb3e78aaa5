"""Processes that share a standard error."""

import io
import json
import os
import subprocess
import sys

import pytest

from schedora.adapters.telemetry import atomic_stderr
from schedora.adapters.telemetry.atomic_stderr import StandardError, atomic

PROCESSES, LINES, LENGTH = 3, 40, 100_000
"""More than a pipe takes at once."""

WRITER = f"""
import logging
from schedora.adapters.telemetry.logs import configure_logs
configure_logs(level="INFO", json_lines=True)
for number in range({LINES}):
    logging.getLogger(str(number)).info("ü" * {LENGTH // 2} + "\\N{{GRINNING FACE}}")
"""

HOLDER = """
import fcntl, sys
fcntl.lockf(2, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_lines_of_several_processes_do_not_mix_and_are_unicode_whatever_the_locale() -> None:
    reading, writing = os.pipe()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER], stderr=writing, env=environment)
        for _ in range(PROCESSES)
    ]
    os.close(writing)
    with open(reading, "rb") as stream:  # noqa: PTH123 - a descriptor is what there is
        messages = [json.loads(line)["message"] for line in stream]
    assert [writer.wait() for writer in writers] == [0] * PROCESSES
    assert [len(message) for message in messages] == [LENGTH // 2 + 1] * PROCESSES * LINES


def test_a_process_that_stands_still_is_not_waited_for_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_stderr, "PATIENCE_SECONDS", 0)
    reading, writing = os.pipe()
    before = os.dup(2)
    os.dup2(writing, 2)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER], stderr=2, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            holder.stdout.readline()
            StandardError("utf-8").write("told\n")
            assert os.read(reading, 100) == b"told\n"
    finally:
        os.dup2(before, 2)
        for descriptor in (before, reading, writing):
            os.close(descriptor)


def test_what_is_not_standard_error_stays_what_it_is() -> None:
    stream = io.StringIO()
    assert atomic(stream, encoding=None) is stream
