"""The handlers that workers run under torture. Each writes what it does into the ledger, with its lease token."""

import asyncio
import os
import time
from contextlib import suppress
from typing import Any

from schedora.application.context import JobContext
from schedora.application.directives import Discard, Snooze
from schedora.entrypoints.sdk.app import Schedora
from schedora_torture import ledger
from schedora_torture.invariants import Guard

app = Schedora()

SNOOZE_SECONDS = 0.2
HANGS_SECONDS = 600.0
"""Longer than any timeout here: such a run is ended from outside."""


class Intended(Exception):
    """A failure that belongs to the torture."""


async def _effect(ctx: JobContext) -> int:
    connection = await ledger.connect(os.environ["DATABASE_URL"])
    try:
        await ledger.write(connection, os.environ["SCHEDORA_TORTURE_RUN"], ctx, Guard.NONE)
    finally:
        await _leave(connection)
    return int(ctx.lease_token)


async def _effect_with_completion(ctx: JobContext) -> None:
    connection = await ledger.connect(os.environ["DATABASE_URL"])
    try:
        async with connection.transaction():
            await ledger.write(connection, os.environ["SCHEDORA_TORTURE_RUN"], ctx, Guard.COMPLETION)
            await ctx.complete_in(connection, int(ctx.lease_token))
    finally:
        await _leave(connection)


async def _leave(connection: Any) -> None:
    with suppress(Exception):  # what was done is done, and a network that is away is no news here
        await connection.close(timeout=1)


@app.job("torture.steady")
async def steady(ctx: JobContext, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return await _effect(ctx)


@app.job("torture.silent")
async def silent(ctx: JobContext, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return int(ctx.lease_token)


@app.job("torture.threaded")
def threaded(ctx: JobContext, seconds: float) -> int:
    time.sleep(seconds)
    return asyncio.run(_effect(ctx))


@app.job("torture.separate", executor="process")
def separate(ctx: JobContext, seconds: float) -> int:
    busy_until = time.process_time() + seconds / 4
    while time.process_time() < busy_until:
        sum(range(1000))
    return asyncio.run(_effect(ctx))


@app.job("torture.exact")
async def exact(ctx: JobContext, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await _effect_with_completion(ctx)


@app.job("torture.exact_separate", executor="process")
async def exact_separate(ctx: JobContext, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await _effect_with_completion(ctx)


@app.job("torture.flaky")
async def flaky(ctx: JobContext, failures: int) -> int:
    if ctx.attempt <= failures:
        raise Intended(f"attempt {ctx.attempt} of a job that fails {failures} times")
    return await _effect(ctx)


@app.job("torture.doomed")
async def doomed(ctx: JobContext) -> None:
    raise Discard(f"attempt {ctx.attempt} of a job that can't succeed")


@app.job("torture.hanging")
async def hanging(ctx: JobContext, hangs: int) -> int:
    if ctx.attempt <= hangs:
        await asyncio.sleep(HANGS_SECONDS)
    return await _effect(ctx)


@app.job("torture.snoozing")
async def snoozing(ctx: JobContext, times: int) -> int:
    if ctx.lease_token <= times:
        raise Snooze(SNOOZE_SECONDS, f"claim {ctx.lease_token} of a job that snoozes {times} times")
    return await _effect(ctx)


@app.job("torture.endless")
async def endless(ctx: JobContext) -> None:
    await asyncio.sleep(HANGS_SECONDS)
    raise Intended(f"job {ctx.job_id} should have been canceled")


@app.job("torture.blocking")
async def blocking(ctx: JobContext, seconds: float) -> int:
    time.sleep(seconds)  # noqa: ASYNC251 - what this is about
    return await _effect(ctx)


@app.job("torture.step")
async def step(ctx: JobContext, waits_for: list[str]) -> int:
    if sorted(ctx.upstream) != sorted(waits_for) or None in ctx.upstream.values():
        raise Discard(f"runs with {sorted(ctx.upstream)} done, and should wait for {sorted(waits_for)}")
    return await _effect(ctx)
