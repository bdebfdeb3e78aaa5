"""A stock of goods in a database of its own: each row keeps the lease token of whoever wrote it last.

In the database that Schedora works on there is nothing to fence: ``complete_in`` commits the rows and the completion together, and
raises ``LeaseLost`` where the job is no longer this run's.
"""

import os
from typing import TYPE_CHECKING

import asyncpg
from examples.fencing.stale import StaleRun

from schedora import JobContext, Schedora

if TYPE_CHECKING:
    from asyncpg import Connection, Record  # the subscript exists for type checkers alone

app = Schedora()

TABLE = """
create table if not exists stock (
    sku text primary key,
    amount integer not null,
    counted_by uuid not null, -- the job
    lease_token bigint not null
)
"""


async def set_amount(connection: "Connection[Record]", ctx: JobContext, sku: str, amount: int) -> None:
    """Write what this job has counted. Raises ``StaleRun``.

    The token orders the runs of one job. Which of two *jobs* counted last it can't tell: there the later write stands.
    """
    written = await connection.fetchval(
        "insert into stock as s (sku, amount, counted_by, lease_token) values ($1, $2, $3, $4)"
        " on conflict (sku) do update set amount = $2, counted_by = $3, lease_token = $4"
        " where s.counted_by <> $3 or s.lease_token <= $4"
        " returning true",
        sku,
        amount,
        ctx.job_id,
        ctx.lease_token,
    )
    if not written:
        raise StaleRun(f"{sku} was counted by a later run than that with token {ctx.lease_token}")


@app.job("count_elsewhere")
async def count_elsewhere(ctx: JobContext, sku: str, amount: int) -> None:
    """The stock is in another database: the other end must refuse what is stale."""
    connection = await asyncpg.connect(os.environ["STOCK_URL"])
    try:
        await set_amount(connection, ctx, sku, amount)
    finally:
        await connection.close()


@app.job("count_here")
async def count_here(ctx: JobContext, sku: str, amount: int) -> None:
    """The stock is in the database of Schedora: one transaction, exactly once."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        async with connection.transaction():
            await connection.execute(
                "insert into stock as s (sku, amount, counted_by, lease_token) values ($1, $2, $3, $4)"
                " on conflict (sku) do update set amount = s.amount + $2, counted_by = $3, lease_token = $4",
                sku,
                amount,
                ctx.job_id,
                ctx.lease_token,
            )
            await ctx.complete_in(connection, {"sku": sku})
    finally:
        await connection.close()
