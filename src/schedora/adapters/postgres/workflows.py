"""Workflows as commands change them, inside of one unit of work."""

from collections.abc import Collection, Sequence
from datetime import datetime

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import load, written
from schedora.application.errors import NameTaken
from schedora.application.ports.workflows import CountChange, WorkflowJobs
from schedora.domain.ids import JsonText, TenantId, WorkflowId
from schedora.domain.workflow import Workflow

_ADD = written("""
insert into workflows (workflow_id, tenant_id, name, description, config, created_at)
values (
    :workflow_id::uuid, :tenant_id::int, :name::text, :description::text, :config::json, statement_timestamp()
)
on conflict (tenant_id, name) do nothing
returning created_at
""")
_LOCK = written("""
select w.workflow_id
from workflows w
where w.workflow_id = any(:workflow_id::uuid[])
order by w.workflow_id
for update
""")
_READ = written("""
{full_workflows}
where workflows.workflow_id = any(:workflow_id::uuid[])
order by workflows.workflow_id
""")
_JOB_IDS = written("select j.job_id from jobs j where j.workflow_id = :workflow_id::uuid")
_SET_CANCELED = written("""
update workflows set canceled_at = :at::timestamptz where workflow_id = :workflow_id::uuid
""")


class PostgresWorkflowStore:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self, *, workflow_id: WorkflowId, name: str, description: str, config: JsonText, tenant_id: TenantId
    ) -> Workflow:
        added = await self._session.fetch(
            _ADD,
            workflow_id=workflow_id,
            name=name,
            description=description,
            config=config,
            tenant_id=tenant_id,
        )
        if not added:  # and the transaction, which may be a caller's, can go on
            raise NameTaken(name)
        return Workflow(
            workflow_id=workflow_id,
            tenant_id=tenant_id,
            name=name,
            description=description,
            config=config,
            created_at=added[0]["created_at"],
        )

    async def hold(self, workflow_ids: Collection[WorkflowId]) -> None:
        """As ``lock``, for who need not know how they are."""
        await self._session.fetch(_LOCK, workflow_id=sorted(set(workflow_ids)))

    async def lock(self, workflow_ids: Collection[WorkflowId]) -> list[Workflow]:
        ids = sorted(set(workflow_ids))
        await self.hold(ids)
        # A statement of its own, for it sees what the one before had to wait for.
        return [rows.workflow(row) for row in await self._session.fetch(_READ, workflow_id=ids)]

    async def lock_jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        job_ids = [row["job_id"] for row in await self._session.fetch(_JOB_IDS, workflow_id=workflow_id)]
        locked = await PostgresJobStore(self._session).lock(job_ids)
        return WorkflowJobs(
            jobs=tuple(locked), depends_on={job.job_id: job.request.depends_on for job in locked}
        )

    async def count(self, changes: Sequence[CountChange], *, at: datetime) -> None:
        await self._session.fetch(
            load("count"),
            workflow_id=[change.workflow_id for change in changes],
            total=[change.total for change in changes],
            succeeded=[change.succeeded for change in changes],
            failed=[change.failed for change in changes],
            canceled=[change.canceled for change in changes],
            at=at,
        )

    async def set_canceled(self, workflow_id: WorkflowId, at: datetime | None) -> None:
        await self._session.fetch(_SET_CANCELED, workflow_id=workflow_id, at=at)
