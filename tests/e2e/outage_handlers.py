"""Handlers that need no database, and leave word of each run."""

import asyncio
import os

from schedora import JobContext, Schedora

app = Schedora()


@app.job("note")
async def note(ctx: JobContext, seconds: float = 0, length: int = 0) -> str:
    """Notes its begin and its end in the file that is named."""
    _note("began", ctx)
    await asyncio.sleep(seconds)
    _note("ended", ctx)
    return os.urandom(length // 2).hex()  # which takes as much room as it is long


def _note(what: str, ctx: JobContext) -> None:
    file = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, f"{what} {ctx.job_id}\n".encode())
    os.close(file)
