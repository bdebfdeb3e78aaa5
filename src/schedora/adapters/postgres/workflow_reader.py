"""Workflows as they are looked at."""

from functools import cache

from sqlalchemy import Integer, Text, Uuid, and_, bindparam, or_

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import Statement, compiled
from schedora.adapters.postgres.tables import jobs, workflows
from schedora.application.ports.workflow_reader import WorkflowPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import WorkflowId
from schedora.domain.workflow import ENDED_WORKFLOW, Workflow, WorkflowState

_READ_AT_ONCE = 200

_GET = compiled(rows.selected_workflows().where(workflows.c.workflow_id == bindparam("workflow_id")))
_JOBS = compiled(
    rows.selected_jobs().where(jobs.c.workflow_id == bindparam("workflow_id")).order_by(jobs.c.job_id)
)


_ENDED = and_(
    workflows.c.succeeded_jobs + workflows.c.failed_jobs + workflows.c.canceled_jobs
    == workflows.c.total_jobs,
    or_(workflows.c.total_jobs > 0, workflows.c.canceled_at.is_not(None)),
)


class PostgresWorkflowReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, workflow_id: WorkflowId) -> Workflow | None:
        found = await self._database.fetch(_GET, workflow_id=workflow_id)
        return rows.workflow(found[0]) if found else None

    async def jobs(self, workflow_id: WorkflowId) -> WorkflowJobs:
        found = [rows.job(row) for row in await self._database.fetch(_JOBS, workflow_id=workflow_id)]
        return WorkflowJobs(
            jobs=tuple(found), depends_on={job.job_id: job.request.depends_on for job in found}
        )

    async def page(
        self, *, status: WorkflowState | None, name: str | None, limit: int, after: WorkflowId | None
    ) -> WorkflowPage:
        matching: list[Workflow] = []
        while len(matching) <= limit:  # one more than asked for tells whether there is a next page
            read = await self._read(status, name, after)
            # What a workflow's status is, the domain says; the store knows no more than whether it has ended.
            matching += [workflow for workflow in read if status in (None, workflow.status)]
            if len(read) < _READ_AT_ONCE:
                break
            after = read[-1].workflow_id
        shown = tuple(matching[:limit])
        return WorkflowPage(
            workflows=shown, next_after=shown[-1].workflow_id if len(matching) > limit else None
        )

    async def _read(
        self, status: WorkflowState | None, name: str | None, after: WorkflowId | None
    ) -> list[Workflow]:
        values = {key: value for key, value in {"name": name, "after": after}.items() if value is not None}
        statement = _page(None if status is None else status in ENDED_WORKFLOW, frozenset(values))
        return [
            rows.workflow(row) for row in await self._database.fetch(statement, **values, limit=_READ_AT_ONCE)
        ]


@cache
def _page(ended: bool | None, names: frozenset[str]) -> Statement:
    statement = rows.selected_workflows()
    if ended is not None:
        statement = statement.where(_ENDED if ended else ~_ENDED)
    if "name" in names:
        statement = statement.where(workflows.c.name == bindparam("name", type_=Text))
    if "after" in names:
        statement = statement.where(workflows.c.workflow_id < bindparam("after", type_=Uuid))
    return compiled(
        statement.order_by(workflows.c.workflow_id.desc()).limit(bindparam("limit", type_=Integer))
    )
