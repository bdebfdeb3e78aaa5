"""The warden ends what its demo has left behind, gently first."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from examples.demo.warden import end

GENTLE = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("up", flush=True)
signal.sigwait([signal.SIGTERM])
print("asked")
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""


@contextmanager
def a_process(script: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_one_that_ends_when_asked_is_asked() -> None:
    with a_process(GENTLE) as process:
        end([psutil.Process(process.pid)])
        assert process.stdout is not None
        assert process.stdout.read() == b"asked\n"


def test_one_that_does_not_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.demo.warden.PATIENCE_SECONDS", 0.1)
    with a_process(STUBBORN) as process:
        end([psutil.Process(process.pid)])
        assert process.wait() == -signal.SIGKILL


def test_one_that_has_ended_is_no_matter() -> None:
    with a_process("print()") as process:
        known = psutil.Process(process.pid)
        process.wait()
        end([known])
