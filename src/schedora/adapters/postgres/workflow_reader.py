"""Workflows as they are looked at."""

from functools import cache

from sqlalchemy import ColumnElement, Integer, Text, Uuid, and_, bindparam, not_, or_

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import Statement, compiled
from schedora.adapters.postgres.tables import jobs, workflows
from schedora.adapters.postgres.walk import STRIDE, sliced, walked
from schedora.application.ports.workflow_reader import WorkflowPage
from schedora.application.ports.workflows import WorkflowJobs
from schedora.domain.ids import DEFAULT_TENANT, WorkflowId
from schedora.domain.workflow import ENDED_WORKFLOW, Workflow, WorkflowState

_GET = compiled(rows.selected_workflows().where(workflows.c.workflow_id == bindparam("workflow_id")))
_JOBS = compiled(
    rows.selected_jobs().where(jobs.c.workflow_id == bindparam("workflow_id")).order_by(jobs.c.job_id)
)


_OPEN = workflows.c.completed_at.is_(None)
_ENDED = workflows.c.completed_at.is_not(None)
_WHOLE = workflows.c.canceled_at.is_(None)
_BEGUN = or_(rows.workflow_begun(), workflows.c.canceled_jobs > 0)
_IN = {
    WorkflowState.PENDING: and_(_OPEN, not_(_BEGUN)),
    WorkflowState.RUNNING: and_(_OPEN, _BEGUN),
    WorkflowState.SUCCESS: and_(_ENDED, _WHOLE, workflows.c.failed_jobs == 0, workflows.c.canceled_jobs == 0),
    WorkflowState.FAILED: and_(_ENDED, _WHOLE, workflows.c.failed_jobs > 0),
    WorkflowState.CANCELED: and_(
        _ENDED, or_(not_(_WHOLE), and_(workflows.c.failed_jobs == 0, workflows.c.canceled_jobs > 0))
    ),
}
"""What ``Workflow.status`` says, as the store can look for it."""


class PostgresWorkflowReader:
    def __init__(self, database: Database, *, stride: int = STRIDE) -> None:
        self._database = database
        self._stride = stride

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
        values: dict[str, object] = {
            key: value for key, value in {"name": name, "after": after}.items() if value is not None
        }
        statement = _page(status, frozenset(values))
        if name is not None:
            values["tenant_id"] = DEFAULT_TENANT
        found = await self._database.fetch(statement, **values, stride=self._stride, limit=limit)
        page = sliced(found, limit=limit, stride=self._stride)
        return WorkflowPage(
            workflows=tuple(rows.workflow(row) for row in page.rows),
            next_after=None if page.next_after is None else WorkflowId(page.next_after),
        )


@cache
def _page(status: WorkflowState | None, names: frozenset[str]) -> Statement:
    key = workflows.c.workflow_id
    within: list[ColumnElement[bool]] = []
    if status is not None and status not in ENDED_WORKFLOW:
        within.append(_OPEN)
    if "name" in names:
        within += [
            workflows.c.tenant_id == bindparam("tenant_id", type_=Integer),
            workflows.c.name == bindparam("name", type_=Text),
        ]
    if "after" in names:
        within.append(key < bindparam("after", type_=Uuid))
    fits = [] if status is None else [_IN[status]]
    return walked(rows.selected_workflows(), key, along=workflows, by=key, within=within, fits=fits)
