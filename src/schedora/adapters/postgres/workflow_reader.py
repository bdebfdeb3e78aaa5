"""Workflows as they are looked at."""

from collections.abc import Collection, Mapping
from uuid import UUID

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.scan_limit import SCAN_LIMIT, sliced
from schedora.adapters.postgres.statements import load, written
from schedora.application.ports.job_reader import PAGE_BYTES, JobPage
from schedora.application.ports.workflow_reader import MOVE_BYTES, WorkflowPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import DEFAULT_TENANT, JobId, WorkflowId
from schedora.domain.workflow import Workflow, WorkflowState

_GET = written("""
{full_workflows}
where workflows.workflow_id = :workflow_id::uuid
""")
_GET_MANY = written("""
{full_workflows}
where workflows.workflow_id = any(:workflow_ids::uuid[])
""")
_JOBS = written("""
{full_jobs}
where jobs.workflow_id = :workflow_id::uuid
order by jobs.job_id
""")


class PostgresWorkflowReader:
    def __init__(
        self, database: Database, *, scan_limit: int = SCAN_LIMIT, page_bytes: int = PAGE_BYTES
    ) -> None:
        self._database = database
        self._scan_limit = scan_limit
        self._page_bytes = page_bytes

    async def get(self, workflow_id: WorkflowId) -> Workflow | None:
        found = await self._database.fetch(_GET, workflow_id=workflow_id)
        return rows.workflow(found[0]) if found else None

    async def get_many(self, workflow_ids: Collection[WorkflowId]) -> Mapping[WorkflowId, Workflow]:
        found = await self._database.fetch(_GET_MANY, workflow_ids=list(workflow_ids))
        return {workflow.workflow_id: workflow for workflow in map(rows.workflow, found)}

    async def jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        found = [rows.job(row) for row in await self._database.fetch(_JOBS, workflow_id=workflow_id)]
        return WorkflowJobs(
            jobs=tuple(found), depends_on={job.job_id: job.request.depends_on for job in found}
        )

    async def some_jobs(
        self, workflow_id: WorkflowId, *, limit: int, bytes_max: int, after: JobId | None
    ) -> JobPage:
        found = await self._database.fetch(
            load("some_jobs"),
            workflow_id=workflow_id,
            after=after or JobId(UUID(int=0)),
            limit=limit,
            bytes_max=bytes_max,
            move_bytes=MOVE_BYTES,
        )
        jobs = tuple(map(rows.job, found))
        return JobPage(jobs=jobs, next_after=jobs[-1].job_id if found and found[-1]["more_follow"] else None)

    async def page(
        self, *, status: WorkflowState | None, name: str | None, limit: int, after: WorkflowId | None
    ) -> WorkflowPage:
        from schedora.adapters.postgres import workflow_pages  # noqa: PLC0415 - workers need not carry SQLAlchemy

        values: dict[str, object] = {
            key: value for key, value in {"name": name, "after": after}.items() if value is not None
        }
        statement = workflow_pages.page(status, frozenset(values))
        if name is not None:
            values["tenant_id"] = DEFAULT_TENANT
        found = await self._database.fetch(
            statement, **values, scan_limit=self._scan_limit, limit=limit, page_bytes=self._page_bytes
        )
        page = sliced(found, limit=limit, scan_limit=self._scan_limit, page_bytes=self._page_bytes)
        return WorkflowPage(
            workflows=tuple(rows.workflow(row) for row in page.rows),
            next_after=None if page.next_after is None else WorkflowId(page.next_after),
        )
