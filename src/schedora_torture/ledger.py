"""The ledger: what handlers have really done, written by themselves, beside the records of Schedora and without its code."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import AsyncpgConnection
from schedora.application.context import JobContext
from schedora.domain.ids import JobId, LeaseToken, WorkerId
from schedora_torture.invariants import Guard, SideEffect

SCHEMA = "schedora_torture"
PATIENCE_SECONDS = 5.0
APPLICATION_NAME = "schedora-torture"
AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""How it shows that the database is away, or goes."""

_CREATE = f"""
create schema if not exists {SCHEMA};
create table if not exists {SCHEMA}.effects (
    run text not null,
    job_id uuid not null,
    lease_token bigint not null,
    attempt int not null,
    worker_id text not null,
    guard text not null,
    at timestamptz not null default clock_timestamp()
);
create index if not exists effects_run_idx on {SCHEMA}.effects (run);
"""
_WRITE = f"""
insert into {SCHEMA}.effects (run, job_id, lease_token, attempt, worker_id, guard) values ($1, $2, $3, $4, $5, $6)
"""  # noqa: S608 - a constant
_READ = f"select * from {SCHEMA}.effects where run = $1 order by at"  # noqa: S608 - a constant
_FORGET = f"delete from {SCHEMA}.effects where run = $1"  # noqa: S608 - a constant


async def connect(url: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection, impatient. Raises the driver's errors."""
    return await asyncpg.connect(
        Location.parse(url).url,
        timeout=PATIENCE_SECONDS,
        command_timeout=PATIENCE_SECONDS,
        statement_cache_size=0,
        server_settings={"application_name": APPLICATION_NAME},
    )


async def create(connection: AsyncpgConnection) -> None:
    """Its table, where there is none."""
    await connection.execute(_CREATE)


async def write(connection: AsyncpgConnection, run: str, ctx: JobContext, guard: Guard) -> None:
    """One effect of this run of the job: by itself, or with the completion (``Guard.COMPLETION``)."""
    job = ctx.job
    await connection.execute(
        _WRITE, run, ctx.job_id, ctx.lease_token, ctx.attempt, str(job.worker_id), guard.value
    )


async def read(connection: AsyncpgConnection, run: str) -> Sequence[SideEffect]:
    """In the order in which they were written."""
    return [
        SideEffect(
            job_id=JobId(UUID(bytes=row["job_id"].bytes)),
            lease_token=LeaseToken(row["lease_token"]),
            attempt=row["attempt"],
            worker_id=WorkerId(row["worker_id"]),
            guard=Guard(row["guard"]),
            at=row["at"],
        )
        for row in await connection.fetch(_READ, run, timeout=60)
    ]


async def forget(connection: AsyncpgConnection, run: str) -> None:
    """What this torture has written; and the schema, once it is empty."""
    await connection.execute(_FORGET, run)
    if not await connection.fetchval(f"select exists (select from {SCHEMA}.effects)"):  # noqa: S608 - a constant
        await connection.execute(f"drop schema {SCHEMA} cascade")
