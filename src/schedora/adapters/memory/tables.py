"""What the memory store keeps: an overlay over it at begin, applied at commit."""

from collections.abc import MutableMapping
from datetime import datetime
from typing import Final, Self, cast

import attrs
from attrs import define, field

from schedora.adapters.memory.overlay import Overlay
from schedora.application.ports.process_reports import ProcessReport
from schedora.application.ports.shared_counters import Series
from schedora.application.telemetry.request_span import ServedRequest
from schedora.domain.ids import IncarnationId, JobId, ProcessId, TenantId, WorkflowId
from schedora.domain.job import Job
from schedora.domain.limits import Bucket
from schedora.domain.queue import Queue
from schedora.domain.run_log import RunLog
from schedora.domain.worker import Worker
from schedora.domain.worker_death import WorkerDeath
from schedora.domain.workflow import Workflow


@define(kw_only=True)
class Tables:
    """Rows by key. ``workflows`` hold kept counts only, ``workers`` no count of what they run."""

    jobs: MutableMapping[JobId, Job] = field(factory=dict)
    fingerprints: MutableMapping[JobId, bytes] = field(factory=dict)
    idempotency_keys: MutableMapping[tuple[TenantId, str], JobId] = field(factory=dict)
    dependants: MutableMapping[JobId, tuple[JobId, ...]] = field(factory=dict)
    workflows: MutableMapping[WorkflowId, Workflow] = field(factory=dict)
    workflow_names: MutableMapping[tuple[TenantId, str], WorkflowId] = field(factory=dict)
    workflow_jobs: MutableMapping[WorkflowId, tuple[JobId, ...]] = field(factory=dict)
    queues: MutableMapping[str, Queue] = field(factory=dict)
    workers: MutableMapping[IncarnationId, Worker] = field(factory=dict)
    worker_watch: MutableMapping[bool, tuple[datetime, datetime]] = field(factory=dict)
    """Under True, since when somebody has been looking for silent workers, and when last."""
    worker_deaths: MutableMapping[IncarnationId, WorkerDeath] = field(factory=dict)
    shared_counters: MutableMapping[Series, float] = field(factory=dict)
    processes: MutableMapping[ProcessId, ProcessReport] = field(factory=dict)
    buckets: MutableMapping[str, Bucket] = field(factory=dict)
    requests: MutableMapping[str, tuple[datetime, ServedRequest]] = field(factory=dict)
    run_logs: MutableMapping[JobId, tuple[RunLog, ...]] = field(factory=dict)

    def overlay(self) -> Self:
        """The same tables, whose changes stay apart until ``apply``."""
        return type(self)(**{name: Overlay(getattr(self, name)) for name in _NAMES})

    def job_changes(self) -> list[tuple[Job | None, Job | None]]:
        """Each job changed in this overlay, before and after."""
        return [(change.before, change.after) for change in cast("Overlay[JobId, Job]", self.jobs).changes()]

    def apply(self) -> None:
        """Writes the changes of this overlay into the tables below it."""
        for name in _NAMES:
            getattr(self, name).apply()


_NAMES: Final = tuple(one.name for one in attrs.fields(Tables))
"""Of all tables: asked for at each transaction."""
