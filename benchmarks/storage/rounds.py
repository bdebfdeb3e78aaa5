"""Run an experiment: its cases in turn, round after round."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
from attrs import frozen
from benchmarks.storage.drain import (
    FREE_PLANS,
    PINNED_PLANS,
    Drained,
    connected,
    create,
    drain,
    drained_in_waves,
    empty,
    settle,
    store_delayed,
    store_finished,
    store_unhandled,
    submit,
)
from benchmarks.storage.experiments import Stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.storage.experiments import Case, Experiment


@frozen(kw_only=True)
class Round:
    """What one case did in one round."""

    submitted_per_second: float
    drained: Drained
    table_megabytes: dict[str, float]


async def run(url: str, experiment: Experiment, rounds: int) -> dict[str, list[Round]]:
    """Return, by the label of each case, its rounds in order."""
    results: dict[str, list[Round]] = {case.label: [] for case in experiment.cases}
    layouts = {case.layout: case.stored for case in experiment.cases}
    for layout, stored in layouts.items():
        await create(url, layout)
        async with connected(url, layout, {}) as connection:
            match stored:
                case Stored.NOTHING:
                    pass
                case Stored.FINISHED:
                    await store_finished(connection, layout, experiment.stored_count)
                case Stored.DELAYED:
                    await store_delayed(connection, layout, experiment.stored_count)
                case Stored.UNHANDLED:
                    await store_unhandled(connection, layout, experiment.stored_count)
    for _ in range(rounds):
        for case in experiment.cases:
            results[case.label].append(await _round(url, experiment, case))
    for layout in layouts:
        async with connected(url, layout, {}) as connection:
            await connection.execute(f"drop schema {layout.schema} cascade")
    return results


async def _round(url: str, experiment: Experiment, case: Case) -> Round:
    layout = case.layout
    await _set_autovacuum(url, case.autovacuum_naptime_seconds)
    async with connected(url, layout, {}) as connection:
        if case.stored is Stored.NOTHING:
            await empty(connection, layout)
        await settle(connection, layout, full=True)
        jobs = experiment.jobs // experiment.waves
        spent = 0.0
        waves: list[Drained] = []
        for _ in range(experiment.waves):
            spent += await submit(connection, layout, jobs, payload=case.payload, batch=case.submit_batch)
            if experiment.waves == 1:
                await settle(connection, layout, full=False)
            async with _snapshot(url, case):
                drained = await drain(
                    url,
                    layout,
                    jobs,
                    k=case.k,
                    connections=case.connections,
                    cursor=case.cursor,
                    parts=experiment.parts if experiment.waves == 1 else 1,
                    settings=PINNED_PLANS if case.pinned_plans else FREE_PLANS,
                )
            waves.append(drained)
        return Round(
            submitted_per_second=experiment.jobs / spent,
            drained=drained_in_waves(waves, experiment.parts),
            table_megabytes={
                table: await connection.fetchval("select pg_total_relation_size($1::text::regclass)", table)
                / 1e6
                for table in layout.tables
            },
        )


@asynccontextmanager
async def _snapshot(url: str, case: Case) -> AsyncIterator[None]:
    if not case.snapshot:
        yield
        return
    async with (
        connected(url, case.layout, {}) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.fetchval("select count(*) from queues")
        yield


async def _set_autovacuum(url: str, naptime_seconds: int | None) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            f"alter system set autovacuum = {'off' if naptime_seconds is None else 'on'}"
        )
        await connection.execute(f"alter system set autovacuum_naptime = {naptime_seconds or 60}")
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()
