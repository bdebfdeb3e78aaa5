"""Which statement reads a page of workflows."""

from functools import cache

from sqlalchemy import ColumnElement, Integer, Text, Uuid, and_, bindparam, not_, or_

from schedora.adapters.postgres import full_rows
from schedora.adapters.postgres.keyset_scan import keyset_scan
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.tables import workflows
from schedora.domain.workflow import ENDED_WORKFLOW, WorkflowState

_OPEN = workflows.c.completed_at.is_(None)
_ENDED = workflows.c.completed_at.is_not(None)
_WHOLE = workflows.c.canceled_at.is_(None)
_BEGUN = or_(full_rows.workflow_begun(), workflows.c.canceled_jobs > 0)
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


@cache
def page(status: WorkflowState | None, names: frozenset[str]) -> Statement:
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
    return keyset_scan(
        full_rows.selected_workflows(),
        key,
        along=workflows,
        by=key,
        within=within,
        fits=fits,
        documents=(workflows.c.config,),
    )
