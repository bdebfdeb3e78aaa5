"""Which statement reads a page of jobs.

A page is a walk along the key, which is ordered by time. Where only states are asked for that few jobs are in, it
goes along the small tables and the partial indexes.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Text,
    Uuid,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from schedora.adapters.postgres import full_rows
from schedora.adapters.postgres.built import among
from schedora.adapters.postgres.keyset_scan import keyset_scan
from schedora.adapters.postgres.statements import Statement
from schedora.adapters.postgres.tables import job_leases, job_ready, jobs
from schedora.domain.job_state import ENDED, HELD, WAITING, JobState

DOCUMENTS = (jobs.c.payload, jobs.c.errors, jobs.c.history, jobs.c.result)
_BOUNDS = frozenset({"below", "from", "until", "workflow_id"})


@cache
def page(states: frozenset[JobState], names: frozenset[str]) -> Statement:
    """The statement for a page of these states, filtered by the parameters of these names."""
    place = _places(states) if sparse(states, names) else None
    along: FromClause = jobs
    key: ColumnElement[Any] = jobs.c.job_id
    if place is not None:
        along = place.join(jobs, jobs.c.job_id == place.c.job_id)
        key = place.c.job_id
    if states - ENDED:
        along = along.outerjoin(job_leases, job_leases.c.job_id == key)
    fits = [_condition(name) for name in sorted(names - _BOUNDS)]
    if states:
        fits.append(_in_states(states))
    within = [_bound(name, key) for name in sorted(names & _BOUNDS)]
    return keyset_scan(
        full_rows.selected_jobs(),
        jobs.c.job_id,
        along=along,
        by=key,
        within=within,
        fits=fits,
        documents=DOCUMENTS,
    )


def _bound(name: str, key: ColumnElement[Any]) -> ColumnElement[bool]:
    """What confines the walk."""
    match name:
        case "workflow_id":
            return jobs.c.workflow_id == bindparam(name, type_=Uuid)
        case "from":
            return key >= bindparam(name, type_=Uuid)
        case _:
            return key < bindparam(name, type_=Uuid)


def _in_states(states: frozenset[JobState]) -> ColumnElement[bool]:
    """As the planner can estimate it: else it sorts all that wait, to show a few."""
    parts: list[ColumnElement[bool]] = []
    if states & ENDED:
        parts.append(among(jobs.c.status, states & ENDED))
    if states & WAITING:
        parts.append(and_(job_leases.c.job_id.is_(None), among(jobs.c.status, states & WAITING)))
    if JobState.SCHEDULED in states:
        parts.append(and_(job_leases.c.job_id.is_not(None), job_leases.c.started_at.is_(None)))
    if JobState.RUNNING in states:
        parts.append(job_leases.c.started_at.is_not(None))
    return or_(false(), *parts)


def sparse(states: frozenset[JobState], names: frozenset[str]) -> bool:
    """Whether the walk goes from one of few to the next: not where these may be most of all jobs, and a workflow
    has its own index.
    """
    return bool(states) and states <= WAITING | HELD | {JobState.DEAD} and "workflow_id" not in names


def _places(states: frozenset[JobState]) -> FromClause:
    """The ids of the jobs that may be in these states."""
    parts = [select(ids).where(*conditions) for ids, conditions in _small_sets(states)]
    return union_all(*parts).subquery("place")


def _small_sets(
    states: frozenset[JobState],
) -> Iterator[tuple[ColumnElement[Any], list[ColumnElement[bool]]]]:
    if states & WAITING:
        retrying = [job_ready.c.status == literal_column("'RETRYING'")]
        yield job_ready.c.job_id, retrying if states & WAITING == {JobState.RETRYING} else []
        blocked = jobs.alias("blocked")
        # Written out: as a parameter it would not be known to mean the index of exactly these.
        yield blocked.c.job_id, [blocked.c.waits_for > literal_column("0")]
    if states & HELD:
        yield job_leases.alias("held").c.job_id, []
    if JobState.DEAD in states:
        dead = jobs.alias("dead")
        yield dead.c.job_id, [dead.c.dead_at.is_not(None)]


def _condition(name: str) -> ColumnElement[bool]:
    match name:
        case "worker_id":
            worker_id = bindparam(name, type_=Text)
            held = job_leases.alias("held_by")
            # Looked up once, not for each job: a worker holds few.
            holds = func.array(select(held.c.job_id).where(held.c.worker_id == worker_id).scalar_subquery())
            return or_(jobs.c.worker_id == worker_id, jobs.c.job_id == func.any(holds))
        case "error_kind":
            kind: ColumnElement[str] = jobs.c.errors[-1]["kind"].astext
            return kind == bindparam(name, type_=Text)
        case "created_after":
            return jobs.c.created_at >= bindparam(name, type_=jobs.c.created_at.type)
        case "created_before":
            return jobs.c.created_at < bindparam(name, type_=jobs.c.created_at.type)
        case _:
            return jobs.c[name] == bindparam(name, type_=jobs.c[name].type)
