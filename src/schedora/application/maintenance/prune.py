"""Remove the records of jobs and workflows that were kept for long enough.

Any number of processes may do this at once. It goes in small batches with pauses, so that whoever runs jobs
meanwhile hardly notices.
"""

import asyncio
from datetime import timedelta

from attrs import frozen

from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.records import Pruned, Records
from schedora.domain.retention import Retention

log = Logger("schedora.reaper")

BATCH_MAX = 1_000
ROUND_MAX = timedelta(seconds=2)
"""Batches and pauses together: then other housekeeping has its turn."""
REST = 3
"""So many times as long as a batch took is the pause behind it."""


@frozen(kw_only=True)
class PruneRecords:
    records: Records
    clock: Clock
    retention: Retention

    async def __call__(self, stopped: asyncio.Event) -> Pruned:
        """One round, which ends early once ``stopped`` is set. Raises ``StoreUnavailable``."""
        end = self.clock.monotonic() + ROUND_MAX
        jobs_count = workflows_count = 0
        due = [self.records.prune_workflows, self.records.prune_jobs]
        while due and not stopped.is_set() and self.clock.monotonic() < end:
            prune = due.pop(0)
            began = self.clock.monotonic()
            pruned = await prune(self.retention, limit=BATCH_MAX)
            jobs_count += pruned.jobs
            workflows_count += pruned.workflows
            if pruned.more:
                due.append(prune)
                await self.clock.wait(stopped, REST * (self.clock.monotonic() - began))
        if jobs_count or workflows_count:
            log.info("forgot what ended long ago", jobs=jobs_count, workflows=workflows_count)
        return Pruned(jobs=jobs_count, workflows=workflows_count, more=bool(due))
