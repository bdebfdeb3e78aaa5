"""The reaper as a service."""

from datetime import timedelta

from schedora.application.maintenance.reaper import Reaper
from schedora.entrypoints.system import System


class ReaperService:
    name = "reaper"

    def __init__(self, system: System) -> None:
        self._reaper = Reaper(
            workers=system.workers,
            events=system.events,
            rescue=system.rescue_jobs,
            prune=system.prune_records,
            rate_limiter=system.rate_limiter,
            run_logs=system.run_logs,
            request_spans=system.request_spans,
            trace_retention=timedelta(seconds=system.settings.trace_retention),
            heartbeats=system.heartbeats,
            metrics=system.metrics,
            clock=system.clock,
            randomness=system.randomness,
            gauges=system.gauges,
            process_reports=system.process_reports,
            heartbeat_timeout=timedelta(seconds=system.settings.worker_heartbeat_timeout),
            cleanup_after=timedelta(seconds=system.settings.worker_cleanup_after),
        )

    async def run(self) -> None:
        await self._reaper.run()

    def stop(self) -> None:
        self._reaper.stop()
