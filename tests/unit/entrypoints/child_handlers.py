"""Handlers that run in processes of their own."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from schedora import Discard, JobContext, Retry, Schedora, Snooze

app = Schedora()


@app.job("answers", executor="process")
def answers(ctx: JobContext, value: Any) -> dict[str, Any]:
    """Tells where it runs and what it got."""
    print("what is printed does not disturb")
    return {"value": value, "pid": os.getpid(), "upstream": dict(ctx.upstream), "attempt": ctx.attempt}


@app.job("listens", executor="process")
def listens() -> list[str]:
    """Reads what there is to read, by itself and by another program."""
    other = subprocess.run(("cat",), capture_output=True, check=True, text=True)
    return [sys.stdin.read(), other.stdout]


@app.job("loops", executor="process")
def loops() -> str:
    """A plain function that needs an event loop for a moment."""
    return asyncio.run(asyncio.sleep(0, "looped"))


@app.job("awaits", executor="process")
async def awaits() -> str:
    """A coroutine function."""
    return await asyncio.sleep(0, "awaited")


@app.job("reports", executor="process")
def reports(ctx: JobContext) -> None:
    """Says twice how far it is."""
    ctx.progress(0.5, "half")
    ctx.progress(1)


@app.job("waits", executor="process")
def waits(directory: str) -> None:
    """Says who it is, then takes its time."""
    Path(directory, str(os.getpid())).touch()
    time.sleep(600)


@app.job("raises", executor="process")
def raises(what: str) -> None:
    """Ends in another way than by returning."""
    match what:
        case "retry":
            raise Retry(after=7)
        case "discard":
            raise Discard("useless")
        case "snooze":
            raise Snooze(60)
        case "exit":
            raise SystemExit(3)
        case _:
            raise ValueError(what)


@app.job("returns_what_is_no_json", executor="process")
def returns_what_is_no_json() -> object:
    """A mistake."""
    return object()


@app.job("dies", executor="process")
def dies(how: str) -> None:
    """Takes its process along."""
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGSEGV if how == "segfault" else signal.SIGRTMIN)


@app.job("logs", executor="process")
def logs(ctx: JobContext) -> None:
    """Says something to people."""
    ctx.logger.info("from the child", answer=42, iban="DE89")
    logging.getLogger("theirs").info("from elsewhere")
    try:
        int("it broke")
    except ValueError:
        ctx.log.exception("failed")


not_registered = print
