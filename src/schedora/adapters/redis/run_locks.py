"""Run locks: a key for each job that runs, whose value is the lease id."""

from collections.abc import Sequence
from datetime import timedelta

from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import Script, load
from schedora.application.ports.run_locks import Contested, RunLock
from schedora.domain.ids import IncarnationId

BATCH_MAX = 500
"""So many in one script: nobody else is served meanwhile, which takes less than a millisecond."""


class RedisRunLocks:
    """``lifetime`` is the heartbeat timeout."""

    def __init__(self, link: RedisLink, *, lifetime: timedelta) -> None:
        self._link = link
        self._lifetime_ms = max(1, lifetime // timedelta(milliseconds=1))
        self._take = load("take_run_locks")
        self._renew = load("renew_run_locks")
        self._release = load("release_run_locks")

    async def take(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return await self._run(self._take, locks, [self._link.keys.heartbeat(owner)], [self._lifetime_ms])

    async def renew(self, owner: IncarnationId, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return await self._run(self._renew, locks, [self._link.keys.heartbeat(owner)], [self._lifetime_ms])

    async def release(self, locks: Sequence[RunLock]) -> Sequence[Contested] | None:
        return await self._run(self._release, locks, [], [])

    async def _run(
        self, script: Script, locks: Sequence[RunLock], keys: Sequence[str], args: Sequence[int]
    ) -> Sequence[Contested] | None:
        contested: list[Contested] = []
        for start in range(0, len(locks), BATCH_MAX):
            batch = locks[start : start + BATCH_MAX]
            try:
                others = await self._link.run(
                    script,
                    [*keys, *(self._link.keys.run(lock.job_id) for lock in batch)],
                    [*args, *(str(lock.lease_id) for lock in batch)],
                )
            except RedisAway:
                return None
            contested += [
                Contested(batch[place], holder.decode(errors="replace"))
                for place, holder in zip(others[::2], others[1::2], strict=True)
            ]
        return contested
