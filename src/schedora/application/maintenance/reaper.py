"""The reaper: declares silent workers lost, rescues what they held, forgets what is long gone.

Any number may run: each round is safe beside any other.
"""

import asyncio
from datetime import timedelta

from schedora.application.backoff import Backoff
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.maintenance.prune import PruneRecords
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.rate_limiter import RateLimiter
from schedora.application.ports.workers import Workers

log = Logger("schedora.reaper")

LONGEST_INTERVAL = timedelta(seconds=10)
ROUNDS_PER_TIMEOUT = 6
BUCKETS_MAX = 10_000
"""Forgotten in one round: whatever has not been limited for a while."""
EVENTS_KEPT = timedelta(minutes=10)
NO_PAUSE = timedelta(0)


class Reaper:
    def __init__(
        self,
        *,
        workers: Workers,
        events: Events,
        rescue: RescueJobs,
        prune: PruneRecords,
        rate_limiter: RateLimiter,
        clock: Clock,
        randomness: Randomness,
        heartbeat_timeout: timedelta,
        cleanup_after: timedelta,
    ) -> None:
        self._workers = workers
        self._events = events
        self._rescue = rescue
        self._prune = prune
        self._rate_limiter = rate_limiter
        self._behind = False
        self._clock = clock
        self._randomness = randomness
        self._heartbeat_timeout = heartbeat_timeout
        self._cleanup_after = cleanup_after
        self._interval = min(LONGEST_INTERVAL, heartbeat_timeout / ROUNDS_PER_TIMEOUT)
        self._backoff = Backoff(randomness.unit, first=timedelta(seconds=0.5), longest=LONGEST_INTERVAL)
        self._stopped = asyncio.Event()

    async def round(self) -> int:
        """One round; answers how many jobs were rescued. Raises ``StoreUnavailable``."""
        for worker in await self._workers.declare_stale(self._heartbeat_timeout):
            log.warning(
                "worker declared lost",
                worker_id=worker.identity.worker_id,
                last_heartbeat=worker.last_heartbeat.isoformat(),
            )
        rescued_count = await self._rescue()
        pruned_count = await self._workers.prune(self._cleanup_after)
        if pruned_count:
            log.info("forgot workers long gone", workers=pruned_count)
        await self._rate_limiter.prune(limit=BUCKETS_MAX)
        await self._events.prune(EVENTS_KEPT)
        self._behind = (await self._prune(self._stopped)).more
        return rescued_count

    async def run(self) -> None:
        reachable = True
        while not self._stopped.is_set():
            try:
                await self.round()
            except StoreUnavailable as error:
                if reachable:
                    log.warning("the store is away", error=str(error))
                reachable = False
                pause = self._backoff.next()
            else:
                if not reachable:
                    log.info("the store is back")
                reachable = True
                self._backoff.reset()
                # Jitter keeps several reapers from working the same moments. What has to be pruned brings its own
                # pauses.
                pause = self._interval * (0.8 + 0.4 * self._randomness.unit())
                pause = NO_PAUSE if self._behind else pause
            await self._clock.wait(self._stopped, pause)

    def stop(self) -> None:
        self._stopped.set()
