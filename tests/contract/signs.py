"""Signs of life and run locks over one place that keeps them, and how time passes there."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from attrs import frozen

from schedora.adapters.memory.heartbeats import MemoryHeartbeats
from schedora.adapters.memory.run_locks import MemoryRunLocks
from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.redis.heartbeats import RedisHeartbeats
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.run_locks import RedisRunLocks
from schedora.adapters.system.randomness import SeededRandomness
from schedora.application.ports.heartbeats import Heartbeats
from schedora.application.ports.run_locks import RunLock, RunLocks
from tests.builders import a_job_id, a_lease_id
from tests.redis.servers import RedisServer

TIMEOUT: Final = timedelta(seconds=90)
"""Of heartbeats."""
WHILE: Final = TIMEOUT / 3
"""Longer than any test takes."""


@frozen(kw_only=True)
class Signs:
    heartbeats: Heartbeats
    run_locks: RunLocks
    advance: Callable[[timedelta], Awaitable[None]]
    """Lets so much time pass for all that is kept."""

    async def holder(self, lock: RunLock) -> str | None:
        """What stands in the lock of this job."""
        others = await self.run_locks.release([rival(lock)])
        assert others is not None
        return others[0].holder if others else None


def a_lock() -> RunLock:
    return RunLock(a_job_id(), a_lease_id())


def rival(lock: RunLock) -> RunLock:
    """Another lease of the same job."""
    return RunLock(lock.job_id, a_lease_id())


def memory_signs() -> Signs:
    clock = VirtualClock()
    store = MemoryStore(clock=clock, randomness=SeededRandomness(1, clock))
    heartbeats = MemoryHeartbeats(store, lifetime=TIMEOUT)

    async def advance(span: timedelta) -> None:
        clock.advance(span)

    return Signs(heartbeats=heartbeats, run_locks=MemoryRunLocks(store, heartbeats), advance=advance)


def redis_signs(link: RedisLink, server: RedisServer) -> Signs:
    async def advance(span: timedelta) -> None:
        for key in server.ask("KEYS", "*"):
            server.ask("PEXPIRE", key, server.ask("PTTL", key) - span // timedelta(milliseconds=1))

    return Signs(
        heartbeats=RedisHeartbeats(link, lifetime=TIMEOUT),
        run_locks=RedisRunLocks(link, lifetime=TIMEOUT),
        advance=advance,
    )
