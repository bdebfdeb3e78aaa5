"""Handlers that log, in all ways there are, and a module that sets up logging for itself, as some do."""

import asyncio
import contextvars
import logging
import os
import threading
import warnings
from typing import Any

import httpx
import structlog

from schedora import JobContext, Schedora

logging.getLogger("imported").error("while it is imported")
logging.basicConfig(format="mine: %(message)s", force=True)
structlog.configure(
    processors=[structlog.processors.KeyValueRenderer()], logger_factory=structlog.PrintLoggerFactory()
)

app = Schedora()
theirs = logging.getLogger("theirs")


def _tell(ctx: JobContext, url: str) -> None:
    secret = ctx.job.payload.split('"secret":"')[1].split('"')[0]
    ctx.log.info("signed in", password=secret, deep=[{"headers": {"Authorization": f"Bearer {secret}"}}])
    theirs.info("at postgresql://ada:%s@db, token=%s", secret, secret)
    structlog.get_logger("other").info("structured", api_key=secret)
    warnings.warn(f"cookie: {secret}", stacklevel=1)
    httpx.get(f"{url}/health", params={"token": secret}, headers={"Authorization": f"Bearer {secret}"})
    thread = threading.Thread(target=contextvars.copy_context().run, args=(theirs.warning, "in a thread"))
    thread.start()
    thread.join()
    try:
        _refuse(secret)
    except RuntimeError:
        ctx.log.exception("not sent")


def _refuse(secret: str) -> None:
    raise RuntimeError(f"refused: password={secret}")


@app.job("tells")
async def tells(ctx: JobContext, url: str, secret: str) -> dict[str, Any]:
    """Logs in a coroutine and in a thread."""
    await asyncio.to_thread(_tell, ctx, url)
    return {"result": secret}


@app.job("tells_in_process", executor="process")
def tells_in_process(ctx: JobContext, url: str, secret: str) -> dict[str, Any]:
    """The same in a child."""
    _tell(ctx, url)
    return {"result": secret}


@app.job("leaks")
async def leaks(secret: str) -> None:
    """Fails with a secret in its message, and leaves an exception behind."""
    asyncio.get_running_loop().call_soon(_break)
    threading.Thread(target=_break).start()
    raise RuntimeError(f"api_key={secret}")


def _break() -> None:
    raise RuntimeError("nobody catches this")


@app.job("fails_alike")
async def fails_alike() -> None:
    """Fails as all of its kind."""
    raise RuntimeError("alike")


@app.job("dies")
async def dies(ctx: JobContext) -> None:
    """Takes its worker along, once the first line has been kept for a while."""
    ctx.log.info("before the end", attempt_told=ctx.attempt)
    if ctx.attempt == 1:
        await asyncio.sleep(3)
        os._exit(1)
