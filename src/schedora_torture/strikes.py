"""How each kind of fault is done to the environment, and undone."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import asyncpg
from attrs import frozen

from schedora_torture import ledger
from schedora_torture.environment import Environment
from schedora_torture.faults import POSTGRES_AWAY, Fault, FaultKind
from schedora_torture.fleet import Member
from schedora_torture.plan import Plan
from schedora_torture.postgres_server import FAST, IMMEDIATE
from schedora_torture.proxy import BOTH, Direction, Proxy
from schedora_torture.redis_server import OwnRedis

DELAY_SECONDS = 0.2
CONNECTIONS_MAX = 1_000
RECOVERY_SECONDS = 5.0
"""PostgreSQL is left alone for so long after it has come back."""
_ENGINE = "schedora"
"""The name under which the engine's sessions are known to the server."""

Order = Callable[[int, float], None]
"""Submits a job that blocks the event loop of its worker, by its number and for so many seconds."""


@frozen(kw_only=True)
class Strike:
    """A fault as it was: by the seconds since the beginning. ``victim`` is the name of whom it struck."""

    fault: Fault
    began_seconds: float
    ended_seconds: float
    victim: str


class FaultInjector:
    """Strikes by the timetable; what it did stands in ``strikes``."""

    def __init__(self, environment: Environment, order_blocking: Order) -> None:
        self._environment = environment
        self._order_blocking = order_blocking
        self._postgres = asyncio.Lock()
        self._redis = asyncio.Lock()
        self._links: dict[str, asyncio.Lock] = {}
        self.strikes: list[Strike] = []

    @property
    def plan(self) -> Plan:
        return self._environment.plan

    async def run(self, timetable: tuple[Fault, ...], began: float, stopping: asyncio.Event) -> None:
        """Returns once every fault is over, or soon after ``stopping`` is set. ``began`` is by the loop's clock."""
        async with asyncio.TaskGroup() as tasks:
            for fault in timetable:
                if await _wait(stopping, began + fault.at_seconds):
                    return
                tasks.create_task(self._strike(fault, began, stopping))

    async def _strike(self, fault: Fault, began: float, stopping: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        victim = self._victim(fault)
        async with AsyncExitStack() as stack:
            if (lock := self._lock(fault, victim)) is not None:
                await stack.enter_async_context(lock)
                if stopping.is_set() or loop.time() - began > self.plan.duration.total_seconds():
                    return
            struck = loop.time() - began
            name = victim.name if victim is not None else ""
            async with self._fault(fault, victim) as has_struck:
                if has_struck:
                    await _wait(stopping, loop.time() + fault.hold_seconds)
            if has_struck:
                self.strikes.append(
                    Strike(fault=fault, began_seconds=struck, ended_seconds=loop.time() - began, victim=name)
                )
            if fault.kind in POSTGRES_AWAY:
                await _wait(stopping, loop.time() + RECOVERY_SECONDS)

    def _victim(self, fault: Fault) -> Member | None:
        fleet = self._environment.fleet
        match fault.kind:
            case FaultKind.KILL_WORKER | FaultKind.FREEZE_WORKER | FaultKind.DRAIN_WORKER:
                return fleet.of("worker")[fault.target]
            case FaultKind.KILL_API:
                return fleet.of("api")[fault.target]
            case FaultKind.KILL_REAPER:
                return fleet.of("reaper")[fault.target]
            case (
                FaultKind.CUT_DATABASE
                | FaultKind.DELAY_DATABASE
                | FaultKind.SWALLOW_COMMANDS
                | FaultKind.SWALLOW_ANSWERS
            ):
                return fleet.members[fault.target]
            case _:
                return None

    def _lock(self, fault: Fault, victim: Member | None) -> asyncio.Lock | None:
        """Faults that would undo each other come one after the other."""
        match fault.kind:
            case FaultKind.RESTART_POSTGRES | FaultKind.CRASH_POSTGRES:
                return self._postgres
            case (
                FaultKind.KILL_REDIS
                | FaultKind.FREEZE_REDIS
                | FaultKind.EMPTY_REDIS
                | FaultKind.CUT_REDIS
                | FaultKind.SWALLOW_REDIS
            ):
                return self._redis
            case _ if victim is not None:
                sort = "process" if fault.kind.value.endswith(victim.role) else "link"
                return self._links.setdefault(f"{sort} {victim.role} {victim.number}", asyncio.Lock())
            case _:
                return None

    def _fault(self, fault: Fault, victim: Member | None) -> AbstractAsyncContextManager[bool]:
        """Whether it strikes: what is away already is not struck."""
        if fault.kind is FaultKind.BLOCK_LOOP:
            return self._blocked(fault)
        if victim is not None:
            return _ON_A_PROCESS.get(fault.kind, _unreachable)(self._environment, victim, fault)
        return _ON_THE_WHOLE[fault.kind](self._environment, fault)

    @asynccontextmanager
    async def _blocked(self, fault: Fault) -> AsyncIterator[bool]:
        self._order_blocking(int(fault.at_seconds * 1000), fault.hold_seconds)
        yield True


async def _wait(stopping: asyncio.Event, until: float) -> bool:
    """Until that time by the loop's clock, or until ``stopping`` is set: then True."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), max(0.0, until - asyncio.get_running_loop().time()))
    return stopping.is_set()


@asynccontextmanager
async def _ended(environment: Environment, victim: Member, fault: Fault) -> AsyncIterator[bool]:
    end = environment.fleet.stop if fault.kind is FaultKind.DRAIN_WORKER else environment.fleet.kill
    was_there = await end(victim)
    try:
        yield was_there
    finally:
        await environment.fleet.start(victim)


@asynccontextmanager
async def _frozen(environment: Environment, victim: Member, _fault: Fault) -> AsyncIterator[bool]:
    was_there = environment.fleet.freeze(victim)
    try:
        yield was_there
    finally:
        environment.fleet.thaw(victim)


@asynccontextmanager
async def _postgres_down(environment: Environment, fault: Fault) -> AsyncIterator[bool]:
    postgres = environment.postgres
    if postgres is None:
        raise AssertionError("only a server of the torture's own is stopped")
    await postgres.stop(FAST if fault.kind is FaultKind.RESTART_POSTGRES else IMMEDIATE)
    try:
        yield True
    finally:
        await postgres.start()


@asynccontextmanager
async def _terminated(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    has_struck = False
    with suppress(*ledger.AWAY):
        connection = await ledger.connect(environment.database_url)
        try:
            await _end_sessions(environment, connection)
            has_struck = True
        finally:
            await connection.close()
    yield has_struck


async def _end_sessions(environment: Environment, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Those of the torture's processes: all that go by the engine's name where the server is the torture's own, else those
    that come out of its proxies.
    """
    if environment.postgres is not None:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", _ENGINE
        )
        return
    ports = sorted({port for link in environment.links.values() for port in link.upstream_ports})
    await connection.execute(
        "select pg_terminate_backend(other.pid) from pg_stat_activity other, pg_stat_activity own"
        " where own.pid = pg_backend_pid() and other.client_addr = own.client_addr"
        " and other.client_port = any($1::int[])",
        ports,
    )


@asynccontextmanager
async def _locked_out(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    has_struck = False
    async with AsyncExitStack() as stack:
        with suppress(*ledger.AWAY):
            connection = await ledger.connect(environment.database_url)
            stack.callback(connection.terminate)
            await connection.execute("begin; lock table jobs in exclusive mode")
            has_struck = True
        yield has_struck


@asynccontextmanager
async def _full(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    is_full = False
    async with AsyncExitStack() as stack:
        with suppress(*ledger.AWAY):
            first = await ledger.connect(environment.database_url)
            stack.callback(first.terminate)
            await _end_sessions(environment, first)
            try:
                for _ in range(CONNECTIONS_MAX):
                    stack.callback((await ledger.connect(environment.database_url)).terminate)
            except asyncpg.TooManyConnectionsError:
                is_full = True
        yield is_full


@asynccontextmanager
async def _healed_afterwards(link: Proxy, fault: Fault) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if not fault.late:
            await link.reset()
        link.heal()


@asynccontextmanager
async def _unreachable(environment: Environment, victim: Member, fault: Fault) -> AsyncIterator[bool]:
    link = environment.link_of(victim)
    match fault.kind:
        case FaultKind.CUT_DATABASE:
            await link.cut()
        case FaultKind.DELAY_DATABASE:
            link.delay(DELAY_SECONDS)
        case FaultKind.SWALLOW_COMMANDS:
            link.swallow(Direction.COMMANDS)
        case _:
            link.swallow(Direction.ANSWERS)
    async with _healed_afterwards(link, fault):
        yield True


def _own_redis(environment: Environment) -> OwnRedis:
    if environment.redis is None:
        raise AssertionError("this is done to a Redis of the torture's own alone")
    return environment.redis


@asynccontextmanager
async def _redis_down(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    redis = _own_redis(environment)
    await redis.kill()
    try:
        yield True
    finally:
        await redis.start()


@asynccontextmanager
async def _redis_frozen(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    redis = _own_redis(environment)
    redis.freeze()
    try:
        yield True
    finally:
        redis.thaw()


@asynccontextmanager
async def _emptied(environment: Environment, _fault: Fault) -> AsyncIterator[bool]:
    await _own_redis(environment).empty()
    yield True


@asynccontextmanager
async def _redis_unreachable(environment: Environment, fault: Fault) -> AsyncIterator[bool]:
    link = environment.redis_link
    if link is None:
        raise AssertionError("there is no Redis")
    if fault.kind is FaultKind.CUT_REDIS:
        await link.cut()
    else:
        link.swallow(BOTH)
    async with _healed_afterwards(link, fault):
        yield True


_ON_A_PROCESS = {
    FaultKind.KILL_WORKER: _ended,
    FaultKind.KILL_API: _ended,
    FaultKind.KILL_REAPER: _ended,
    FaultKind.FREEZE_WORKER: _frozen,
    FaultKind.DRAIN_WORKER: _ended,
}
"""All others that have a victim are on its way to the database."""
_ON_THE_WHOLE = {
    FaultKind.RESTART_POSTGRES: _postgres_down,
    FaultKind.CRASH_POSTGRES: _postgres_down,
    FaultKind.TERMINATE_BACKENDS: _terminated,
    FaultKind.EXHAUST_POOLS: _locked_out,
    FaultKind.EXHAUST_SERVER: _full,
    FaultKind.KILL_REDIS: _redis_down,
    FaultKind.EMPTY_REDIS: _emptied,
    FaultKind.FREEZE_REDIS: _redis_frozen,
    FaultKind.CUT_REDIS: _redis_unreachable,
    FaultKind.SWALLOW_REDIS: _redis_unreachable,
}
