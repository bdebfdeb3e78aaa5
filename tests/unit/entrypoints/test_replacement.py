"""A program that starts anew in its own process."""

import os
import subprocess
import sys
from pathlib import Path

from schedora.adapters.system import crash_recorder, parent_death_pipe
from schedora.adapters.system.crash_recorder import KeptBox
from schedora.adapters.system.parent_death_pipe import ParentDeathPipe

# Notes its pid and whose crash recorder it has; the first time starts a child and, with a thread that never ends, starts anew.
PROGRAM = """
import os, signal, subprocess, sys, threading
from pathlib import Path
from uuid import UUID
from schedora.adapters.system.crash_recorder import CrashRecorder
from schedora.adapters.system.parent_death_pipe import hang_on
from schedora.entrypoints.replacement import keep, kept, reap_left_behind, replace_process

notes = Path(sys.argv[1])
reap_left_behind()
hang_on(signal.SIGKILL)
box = CrashRecorder.given()
told = notes.read_text().splitlines() if notes.exists() else []
box.name(UUID(int=len(told)))
port = kept("PORT")
keep("PORT", "1" if port is None else port + "1")
inherited = {"SCHEDORA_CRASH_RECORDER", "SCHEDORA_PARENT_DEATH_PIPE", "SCHEDORA_REPLACES", "PORT"} & set(os.environ)
with notes.open("a") as file:
    print(os.getpid(), sys.argv[2], sorted(inherited), port, file=file)
if not told:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    threading.Thread(target=threading.Event().wait).start()
    threading.Thread(target=replace_process).start()
    threading.Event().wait()
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    sys.exit(5)
"""


def test_it_has_the_same_pid_arguments_and_descriptors_and_no_thread_of_before(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    notes, box, line = tmp_path / "notes", KeptBox(), ParentDeathPipe()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(notes), "an argument"],
        pass_fds=[box.descriptor, line.other_end],
        env={
            **os.environ, crash_recorder.VARIABLE: str(box.descriptor), parent_death_pipe.VARIABLE: str(line.other_end),
        },
        start_new_session=True,
    )  # fmt: skip
    line.handed_over()
    assert process.wait(60) == 5, "the child that had ended was not asked how"
    first, second = notes.read_text().splitlines()
    assert [first, second] == [f"{process.pid} an argument [] {port}" for port in (None, 1)]
    assert b"00000000-0000-0000-0000-000000000001" in os.pread(box.descriptor, 1_000, 0)
    line.cut()
    box.close()
