"""Handlers whose effect on a table and whose completion are one transaction, for each place that handlers run."""

import os
import signal

import asyncpg
import psycopg

from schedora import JobContext, Schedora

app = Schedora()
INSERT = "insert into charges (order_id, attempt) values ({}, {})"


@app.job("charge_on_loop")
async def charge_on_loop(ctx: JobContext, order: int) -> str:
    """Commits."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        async with connection.transaction():
            await connection.execute(INSERT.format("$1", "$2"), order, ctx.attempt)
            await ctx.complete_in(connection, {"order": order})
    finally:
        await connection.close()
    return "ignored: the result is the one of complete_in"


def charge(ctx: JobContext, order: int) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(INSERT.format("%s", "%s"), (order, ctx.attempt))
        ctx.complete_in_sync(connection, {"order": order})


@app.job("charge_in_thread")
def charge_in_thread(ctx: JobContext, order: int) -> None:
    """Commits."""
    charge(ctx, order)


@app.job("charge_in_process", executor="process")
def charge_in_process(ctx: JobContext, order: int) -> None:
    """Commits."""
    charge(ctx, order)


@app.job("charge_and_die", executor="process")
def charge_and_die(ctx: JobContext, order: int) -> None:
    """Commits, and its process is gone before it can say so."""
    charge(ctx, order)
    os.kill(os.getpid(), signal.SIGKILL)


@app.job("charge_at_last", executor="process")
def charge_at_last(ctx: JobContext, order: int) -> None:
    """Rolls its first attempt back."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(INSERT.format("%s", "%s"), (order, ctx.attempt))
        ctx.complete_in_sync(connection, {"order": order})
        if ctx.attempt == 1:
            connection.rollback()
