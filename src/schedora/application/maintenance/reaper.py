"""The reaper: declares silent workers lost, rescues what they held, forgets what is long gone.

Any number may run: each round is safe beside any other. A worker that the store has not heard for too long, but that
is heard elsewhere, is suppressed for a while: then it is the store that was not to be reached, and not the worker that
died. Nothing makes a worker lost but that its end was seen, or that the store does not hear it, and only as much of
that silence counts as reapers were there to notice: after an outage of the store all workers look silent, and each has
the whole timeout to be heard again.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from schedora.application.backoff import Backoff
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.maintenance.prune import PruneRecords
from schedora.application.maintenance.rescue import RescueJobs
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import Events
from schedora.application.ports.heartbeats import Heartbeats
from schedora.application.ports.metrics import Counter, Gauge, Gauges, Histogram, Metrics
from schedora.application.ports.process_reports import ProcessReports
from schedora.application.ports.randomness import Randomness
from schedora.application.ports.rate_limiter import RateLimiter
from schedora.application.ports.request_spans import RequestSpans
from schedora.application.ports.run_logs import RunLogs
from schedora.application.ports.workers import SilentWorker, Workers
from schedora.domain.ids import IncarnationId
from schedora.domain.worker import lost, watch_gap_max

log = Logger("schedora.reaper")

LONGEST_INTERVAL = timedelta(seconds=10)
ROUNDS_PER_TIMEOUT = 6
LATE_INTERVALS = 1.5
"""At most a quarter of the timeout, and so well below the longest gap between looks."""
BUCKETS_MAX = 10_000
"""Forgotten in one round: whatever has not been limited for a while."""
RUN_LOGS_MAX = 1_000
"""Looked at in one round: few outlive their jobs."""
REQUESTS_KEPT_MAX = 1_000_000
"""Of those that submitted jobs, for their spans: some 170 MB."""
REQUEST_BATCHES_MAX = 1_000
"""Looked at in one round."""
EVENTS_KEPT = timedelta(minutes=10)
NO_PAUSE = timedelta(0)


class Reaper:
    def __init__(  # noqa: PLR0913 - each port of the store that it tends, once
        self,
        *,
        workers: Workers,
        events: Events,
        rescue: RescueJobs,
        prune: PruneRecords,
        rate_limiter: RateLimiter,
        run_logs: RunLogs,
        request_spans: RequestSpans,
        trace_retention: timedelta,
        heartbeats: Heartbeats | None,
        metrics: Metrics,
        clock: Clock,
        randomness: Randomness,
        heartbeat_timeout: timedelta,
        cleanup_after: timedelta,
        gauges: Gauges | None = None,
        process_reports: ProcessReports | None = None,
    ) -> None:
        self._workers = workers
        self._events = events
        self._rescue = rescue
        self._prune = prune
        self._rate_limiter = rate_limiter
        self._run_logs = run_logs
        self._request_spans = request_spans
        self._trace_retention = trace_retention
        self._behind = False
        self._heartbeats = heartbeats
        self._metrics = metrics
        self._watched = True
        """Whether reapers have been there for as long as a worker's silence may last."""
        self._watched_at = clock.monotonic()
        self._suppressed: frozenset[IncarnationId] = frozenset()
        self._clock = clock
        self._randomness = randomness
        self._heartbeat_timeout = heartbeat_timeout
        self._cleanup_after = cleanup_after
        self._interval = min(LONGEST_INTERVAL, heartbeat_timeout / ROUNDS_PER_TIMEOUT)
        self._backoff = Backoff(randomness.unit, first=timedelta(seconds=0.5), longest=LONGEST_INTERVAL)
        self._stopped = asyncio.Event()
        self._process_reports = process_reports
        self._succeeded_at: datetime | None = None
        if gauges is not None:
            gauges.register(Gauge.REAPER_LAST_ROUND, self._last_round_timestamp)

    async def round(self) -> int:
        """One round; answers how many jobs were rescued. Raises ``StoreUnavailable``."""
        await self._declare_lost()
        rescued_count = await self._rescue()
        pruned_count = await self._workers.prune(self._cleanup_after)
        if pruned_count:
            log.info("forgot workers long gone", workers=pruned_count)
        if self._process_reports is not None:
            await self._process_reports.prune(self._cleanup_after)
        await self._rate_limiter.prune(limit=BUCKETS_MAX)
        await self._run_logs.prune(limit=RUN_LOGS_MAX)
        await self._request_spans.prune(
            self._trace_retention, spans_max=REQUESTS_KEPT_MAX, limit=REQUEST_BATCHES_MAX
        )
        await self._events.prune(EVENTS_KEPT)
        self._behind = (await self._prune(self._stopped)).more
        return rescued_count

    async def _watch(self) -> timedelta:
        """For how long reapers have been there."""
        watched_for = await self._workers.watch(watch_gap_max(self._heartbeat_timeout))
        self._watched_at = self._clock.monotonic()
        return watched_for

    async def _declare_lost(self) -> None:
        timeout = self._heartbeat_timeout
        silent = await self._workers.silent(timeout)
        # Not before: of a store that stood still in between, everybody would look silent, and watched all the while.
        watched_for = await self._watch()
        heard = await self._heard(silent)
        given_up: list[IncarnationId] = []
        suppressed: list[SilentWorker] = []
        for worker in silent:
            heard_elsewhere = worker.incarnation in heard
            if worker.seen_dead or lost(
                worker.silent_for, timeout, watched_for=watched_for, heard_elsewhere=heard_elsewhere
            ):
                given_up.append(worker.incarnation)
            elif heard_elsewhere:
                suppressed.append(worker)
        self._tell_unwatched(sum(not worker.seen_dead for worker in silent), watched_for)
        self._log_suppressed(suppressed)
        if not given_up:
            return
        declared = await self._workers.declare_stale(given_up, timeout)
        if declared:
            self._metrics.count(Counter.WORKERS_LOST, amount=len(declared))
        for stale in declared:
            log.warning(
                "worker declared lost",
                worker_id=stale.identity.worker_id,
                last_heartbeat=stale.last_heartbeat.isoformat(),
                **({} if stale.death is None else {"death": stale.death}),
            )

    async def _heard(self, silent: Collection[SilentWorker]) -> Collection[IncarnationId]:
        """Those that are heard elsewhere."""
        if self._heartbeats is None or not silent:
            return ()
        return await self._heartbeats.alive([worker.incarnation for worker in silent])

    def _tell_unwatched(self, silent_count: int, watched_for: timedelta) -> None:
        """Once after each time that no reaper could look."""
        watched, self._watched = self._watched, watched_for > self._heartbeat_timeout or not silent_count
        if watched and not self._watched:
            log.info(
                "nobody was there to hear workers: those that look silent have the whole timeout to be heard",
                silent=silent_count,
                timeout_seconds=self._heartbeat_timeout.total_seconds(),
            )

    def _log_suppressed(self, suppressed: Sequence[SilentWorker]) -> None:
        """Once for each time that a worker falls silent."""
        new = [worker for worker in suppressed if worker.incarnation not in self._suppressed]
        self._suppressed = frozenset(worker.incarnation for worker in suppressed)
        for worker in new:
            log.warning(
                "worker suppressed: it is silent in the store, and heard elsewhere",
                worker_id=worker.worker_id,
                silent_seconds=round(worker.silent_for.total_seconds(), 1),
            )
        if new:
            self._metrics.count(Counter.WORKER_LOSS_SUPPRESSED, amount=len(new))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._keep_watching())
            try:
                await self._rounds()
            finally:
                watching.cancel()

    async def _keep_watching(self) -> None:
        """Beside the rounds, when one of them is late: what takes longer than the longest gap there may be on a slow
        store would keep silence from ever counting.
        """
        while True:
            pause = self._watched_at + self._interval * LATE_INTERVALS - self._clock.monotonic()
            if pause > NO_PAUSE:
                await self._clock.sleep(pause)
                continue
            try:
                await self._watch()
            except StoreUnavailable:  # rounds tell of it
                await self._clock.sleep(self._interval)

    async def _rounds(self) -> None:
        reachable = True
        while not self._stopped.is_set():
            began = self._clock.monotonic()
            try:
                await self.round()
            except StoreUnavailable as error:
                self._time_round("failed", began)
                if reachable:
                    log.warning("the store is away", error=str(error))
                reachable = False
                pause = self._backoff.next()
            else:
                self._time_round("success", began)
                self._succeeded_at = self._clock.now()
                if not reachable:
                    log.info("the store is back")
                reachable = True
                self._backoff.reset()
                # Jitter keeps several reapers from working the same moments. What has to be pruned brings its own
                # pauses.
                pause = self._interval * (0.8 + 0.4 * self._randomness.unit())
                pause = NO_PAUSE if self._behind else pause
            await self._clock.wait(self._stopped, pause)

    def _time_round(self, status: str, began: timedelta) -> None:
        self._metrics.observe(Histogram.REAPER_ROUND, (status,), [self._clock.monotonic() - began])

    def _last_round_timestamp(self) -> float | None:
        return None if self._succeeded_at is None else self._succeeded_at.timestamp()

    def stop(self) -> None:
        self._stopped.set()
