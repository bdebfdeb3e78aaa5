"""Whoever hangs on another ends with it, whatever it does at that moment."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from schedora.adapters.system import parent_death_pipe
from schedora.adapters.system.parent_death_pipe import ParentDeathPipe
from tests.programs import until

# Starts another process; then holds the interpreter's lock for good, or waits for what it is told.
HANGS_ON = """
import ctypes, signal, subprocess, sys, time
from schedora.adapters.system.parent_death_pipe import hang_on
if sys.argv[2] == "late":
    sys.stdin.read()
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
hang_on(signal.SIGKILL)
print(other.pid, flush=True)
ctypes.PyDLL(None).sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of it")


def start(line: ParentDeathPipe, when: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS_ON, "x", when],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[line.other_end],
        env={**os.environ, parent_death_pipe.VARIABLE: str(line.other_end)},
        start_new_session=True,
    )
    line.handed_over()
    return process


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_cut_it_ends_the_whole_group_even_one_that_runs_no_python() -> None:
    line = ParentDeathPipe()
    with start(line, "at once") as process:
        assert process.stdout is not None
        other = int(process.stdout.readline())
        assert not gone(other)
        line.cut()
        assert process.wait(30) == -9
        until(lambda: gone(other), "what it started to be gone")


def test_one_that_was_cut_before_is_noticed() -> None:
    line = ParentDeathPipe()
    with start(line, "late") as process:
        line.cut()
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == -9


def test_without_one_nothing_hangs_on_anything() -> None:
    program = "import signal; from schedora.adapters.system.parent_death_pipe import hang_on; hang_on(signal.SIGKILL)"
    for environment in ({}, {parent_death_pipe.VARIABLE: "nonsense"}):
        done = subprocess.run([sys.executable, "-c", program], env={**os.environ, **environment}, check=False)
        assert done.returncode == 0
