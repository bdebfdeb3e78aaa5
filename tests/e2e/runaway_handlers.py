"""Handlers that take their workers down, or never end."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from schedora import JobContext, Schedora

app = Schedora()


def _said(directory: str, word: str, *what: object) -> None:
    path = Path(directory) / word
    path.with_suffix(".new").write_text(" ".join(map(str, what)))
    path.with_suffix(".new").rename(path)


def _end(how: str) -> None:
    match how:
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(7)
        case "memory":  # what the kernel does to it when there is none left
            held = bytearray(os.urandom(1)) * 300_000_000
            os.kill(os.getpid(), signal.SIGKILL)
            del held


@app.job("crashes")
async def crashes(ctx: JobContext, how: str) -> None:
    """Takes its worker down, each time, right after it has said so."""
    ctx.log.info("this is the end", how=how)
    _end(how)


@app.job("crashes_in_process", executor="process")
def crashes_in_process(ctx: JobContext, how: str) -> None:
    """Takes its own process down."""
    ctx.log.info("this is the end", how=how)
    _end(how)


@app.job("never_yields")
async def never_yields(ctx: JobContext) -> None:
    """Keeps the event loop for ever."""
    ctx.log.info("never again")
    threading.Event().wait()


@app.job("sits")
def sits(ctx: JobContext, directory: str) -> None:
    """Sits in its thread until released, whatever is asked of it."""
    _said(directory, f"sits-{ctx.job_id}", os.getpid())
    while not (Path(directory) / "release").exists():
        time.sleep(0.02)


@app.job("pid")
async def pid(ctx: JobContext) -> int:
    """Of its worker."""
    return os.getpid()


@app.job("pid_in_process", executor="process")
def pid_in_process(ctx: JobContext) -> int:
    """Of the child that runs it."""
    return os.getpid()


@app.job("holds_interpreter", executor="process", max_retries=0)
def holds_interpreter(ctx: JobContext, directory: str) -> None:
    """Starts a process, then runs no Python any more, for ever, and lets nobody else."""
    beside = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _said(directory, "holds", os.getpid(), beside.pid)
    ctypes.PyDLL(None).sleep(600)
