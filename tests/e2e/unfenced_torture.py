"""The handlers of the torture, in a worker that has lost its fence: it ends claims whoever holds the job by now."""

import asyncio

from schedora import JobContext
from schedora.adapters.postgres import statements
from schedora_torture.handlers import app

FENCE = (" and seen.lease_id = d.lease_id", " and l.lease_id = d.lease_id")

FIRST_SECONDS, NEXT_SECONDS = 5.0, 9.0

__all__ = ["app"]

del app.functions["torture.silent"]


@app.job("torture.silent")
async def silent(ctx: JobContext, seconds: float) -> int:
    """Soon done the first time, and late the next: what a first run says late finds a second one under way."""
    del seconds
    await asyncio.sleep(FIRST_SECONDS if ctx.lease_token == 1 else NEXT_SECONDS)
    return int(ctx.lease_token)


def _without_fence(name: str, read=statements._read) -> str:  # type: ignore[no-untyped-def]
    text = str(read(name))
    if name == "ended":
        for condition in FENCE:
            assert condition in text, f"{condition} is no longer what fences"
            text = text.replace(condition, "")
    return text


statements._read = _without_fence
statements.load.cache_clear()
