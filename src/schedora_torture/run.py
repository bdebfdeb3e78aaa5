"""One torture, from the stage to the report."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schedora.adapters.postgres.location import Location
from schedora.diagnosis.wording import counted
from schedora.domain.process import REPORTED_EVERY
from schedora.entrypoints.signals import stop_signals
from schedora_torture import ledger
from schedora_torture.checker import breaches, misbehaved, unfreed
from schedora_torture.environment import Environment, staged
from schedora_torture.evidence import (
    collect,
    fenced_writes,
    open_jobs,
    reading,
    slots_used,
    store_time,
)
from schedora_torture.faults import Fault, FaultKind
from schedora_torture.load_generator import LoadGenerator
from schedora_torture.log_files import read_logs
from schedora_torture.measures import recoveries, seconds
from schedora_torture.patience import until
from schedora_torture.plan import DRAIN_BOUND, Plan
from schedora_torture.report import Report
from schedora_torture.strikes import FaultInjector
from schedora_torture.timetable import kinds_for, timetable
from schedora_torture.workload import Order, OrderKind, blocking_job, orders

Say = Callable[[str], None]
"""Tells a person how far it is."""

_NEWS_SECONDS = 10.0
SLOTS_BOUND = REPORTED_EVERY * 3
"""A worker tells every so often how many slots it uses; what was canceled may take a moment to stop."""


async def torture(
    plan: Plan, say: Say, faults: tuple[Fault, ...] | None = None, ordered: Sequence[Order] | None = None
) -> Report:
    """What came of it. Ctrl-C ends faults and orders, and what is there is checked. ``faults`` and ``ordered`` come in place
    of what the seed decides.

    Raises ``EmbeddedUnavailable``, ``NoRoute`` and ``NotReady`` where it can't begin, ``Unreadable`` where nobody can tell what
    came of it.
    """
    stopping = asyncio.Event()
    faults = timetable(plan) if faults is None else faults
    say(f"Seed {plan.seed}: {counted(len(faults), 'fault')}. Logs: {plan.directory}")
    async with staged(plan) as environment:
        with stop_signals(stopping, at_once=environment.fleet.kill_all):
            return await _tortured(
                environment, faults, orders(plan) if ordered is None else ordered, stopping, say
            )


async def _tortured(
    environment: Environment,
    faults: tuple[Fault, ...],
    ordered: Iterable[Order],
    stopping: asyncio.Event,
    say: Say,
) -> Report:
    plan = environment.plan
    loop = asyncio.get_running_loop()
    say("Everything runs. Orders and faults begin.")
    fenced_before = await fenced_writes(environment.database_url)
    began_at, began = await store_time(environment.database_url), loop.time()
    load_generator = LoadGenerator(plan, environment.api_urls)
    fault_injector = FaultInjector(
        environment, lambda number, hold_seconds: load_generator.take(_blocking(plan, number, hold_seconds))
    )
    try:
        await _torment(load_generator, fault_injector, faults, ordered, stopping=stopping, say=say)
        over = loop.time()
        say("No more faults. Waiting until all that was accepted has ended.")
        await load_generator.finish(DRAIN_BOUND)
        drained = await _drained(environment, over + DRAIN_BOUND.total_seconds())
    finally:
        await load_generator.close()
    lasted_seconds = loop.time() - began
    drain_seconds = loop.time() - over if drained else None
    if not drained:
        await environment.fleet.close()  # what still moves can't be checked
    say("Reading records and ledger.")
    with reading():
        evidence = await collect(plan, environment.database_url, tuple(load_generator.asked_workflows))
        found = breaches(load_generator.accepted(), evidence)
        if not found:
            workers = sorted(member.name for member in environment.fleet.of("worker"))
            found = unfreed(workers, await _slots(environment, workers))
        await environment.fleet.close()  # its logs and counts are whole now
        fenced = await fenced_writes(environment.database_url) - fenced_before
    found += misbehaved(environment.fleet.endings, environment.fleet.stubborn)
    if not found:
        await _tidy_up(environment)
    jobs = evidence.jobs.values()
    return Report(
        plan=plan,
        database=_described(plan),
        began=began_at,
        lasted_seconds=lasted_seconds,
        drain_seconds=drain_seconds,
        interrupted=stopping.is_set(),
        jobs=len(jobs),
        workflows=len(evidence.workflows),
        calls=load_generator.calls,
        failed_calls=load_generator.failed_calls,
        by_status=Counter(job.status for job in jobs),
        claims=sum(job.lease_token for job in jobs),
        effects=len(evidence.effects),
        fenced=fenced,
        starts=sum(member.starts for member in environment.fleet.members),
        faults=len(faults),
        left_out=[kind for kind in FaultKind if kind not in kinds_for(plan)],
        breaches=found,
        seconds=seconds(jobs, began_at),
        recoveries=recoveries(fault_injector.strikes, jobs, began_at),
        logs=read_logs(plan.directory),
    )


def _blocking(plan: Plan, number: int, hold_seconds: float) -> Order:
    return Order(
        at_seconds=0, number=number, kind=OrderKind.STEADY, jobs=(blocking_job(plan, number, hold_seconds),)
    )


def _described(plan: Plan) -> str:
    if plan.database_url is None:
        return "a PostgreSQL of its own"
    return Location.parse(plan.database_url).description


async def _torment(
    load_generator: LoadGenerator,
    fault_injector: FaultInjector,
    faults: tuple[Fault, ...],
    ordered: Iterable[Order],
    *,
    stopping: asyncio.Event,
    say: Say,
) -> None:
    """Orders and faults side by side, until both are over."""
    began = asyncio.get_running_loop().time()
    news = asyncio.create_task(_tell(load_generator, fault_injector, began, say))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load_generator.run(ordered, stopping))
            tasks.create_task(fault_injector.run(faults, began, stopping))
    finally:
        news.cancel()


async def _tell(load_generator: LoadGenerator, fault_injector: FaultInjector, began: float, say: Say) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_NEWS_SECONDS)
        say(
            f"{loop.time() - began:>5.0f} s  {counted(len(load_generator.jobs), 'job')} and"
            f" {counted(len(load_generator.workflows), 'workflow')} accepted,"
            f" {counted(len(fault_injector.strikes), 'fault')} so far"
        )


async def _drained(environment: Environment, bound: float) -> bool:
    """Whether all jobs have ended by then, on the loop's clock."""

    async def ended() -> bool:
        with suppress(*ledger.AWAY):
            return not await open_jobs(environment.plan, environment.database_url)
        return False

    return await until(ended, bound - asyncio.get_running_loop().time())


async def _slots(environment: Environment, workers: Sequence[str]) -> Mapping[str, int]:
    """How many slots each of them has in use once it has told that it has none, or after a while."""
    names = frozenset(workers)
    since = await store_time(environment.database_url)
    told: dict[str, int] = {}

    async def free() -> bool:
        told.update(await slots_used(environment.database_url, names, since))
        return names <= told.keys() and not any(told.values())

    await until(free, SLOTS_BOUND.total_seconds())
    return told


async def _tidy_up(environment: Environment) -> None:
    """Takes back what was left in a database and a Redis that others use as well; records stay as long as any do."""
    plan = environment.plan
    if plan.database_url is not None:
        connection = await ledger.connect(plan.database_url)
        try:
            await ledger.forget(connection, plan.run)
        finally:
            await connection.close()
    if plan.redis_url is not None:
        with suppress(RedisError):
            async with Redis.from_url(plan.redis_url) as client:
                async for key in client.scan_iter(match=f"{plan.redis_prefix}:*"):
                    await client.delete(key)
