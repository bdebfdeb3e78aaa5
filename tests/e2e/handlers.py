"""The app that the workers of these tests run. Handlers tell the test of their doings through files."""

import asyncio
import os
import signal
import time
from pathlib import Path

from schedora import JobContext, Schedora

app = Schedora()


def _said(directory: str, word: str, ctx: JobContext) -> None:
    path = Path(directory) / word
    path.with_suffix(".new").write_text(f"{os.getpid()} {ctx.lease_token} {ctx.job.worker_id}")
    path.with_suffix(".new").rename(path)


async def _until(directory: str, word: str) -> None:
    while not (Path(directory) / word).exists():
        await asyncio.sleep(0.02)


@app.job("first_hangs")
async def first_hangs(ctx: JobContext, directory: str) -> str:
    """Says that it has begun; the first attempt then waits to be released, the next ones do not."""
    _said(directory, f"began-{ctx.lease_token}", ctx)
    if ctx.lease_token == 1:
        await _until(directory, "release")
    return f"token {ctx.lease_token}"


@app.job("blocks_loop")
async def blocks_loop(ctx: JobContext, directory: str, seconds: float) -> str:
    """Blocks the event loop of its worker."""
    _said(directory, f"began-{ctx.lease_token}", ctx)
    time.sleep(seconds)
    return "blocked"


@app.job("dies")
async def dies(ctx: JobContext, directory: str) -> None:
    """Takes its worker down, each time."""
    _said(directory, f"began-{ctx.lease_token}", ctx)
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("burns", executor="process", timeout_seconds=60, max_retries=0)
def burns(ctx: JobContext, directory: str) -> int:
    """Burns a core in a process of its own until released."""
    _said(directory, "burning", ctx)
    rounds = 0
    while not (Path(directory) / "release").exists():
        rounds += 1
    return rounds


@app.job("submits")
async def submits() -> str:
    """Submits another job."""
    return str((await app.submit("echo", {"from": "submits"})).job_id)


@app.job("submits_in_thread")
def submits_in_thread() -> str:
    """The same without an event loop."""
    return str(app.submit_sync("echo", {"from": "submits_in_thread"}).job_id)


@app.job("submits_in_process", executor="process")
def submits_in_process() -> str:
    """The same from a process of its own."""
    return str(app.submit_sync("echo", {"from": "submits_in_process"}).job_id)


@app.job("hangs")
async def hangs(ctx: JobContext, directory: str) -> str:
    """Says that it has begun, waits to be released, and says so when it is stopped instead."""
    _said(directory, f"began-{ctx.lease_token}", ctx)
    try:
        await _until(directory, f"release-{ctx.lease_token}")
    except asyncio.CancelledError:
        _said(directory, f"stopped-{ctx.lease_token}", ctx)
        raise
    return f"token {ctx.lease_token}"
