"""Jobs as they are looked at.

A page is a walk along the key, which is ordered by time. Where only states are asked for that few jobs are in, it
goes along the small tables and the partial indexes.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    false,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from schedora.adapters.postgres import rows
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import Statement, among, compiled
from schedora.adapters.postgres.tables import job_leases, job_ready, jobs
from schedora.adapters.postgres.walk import SPARSE_STRIDE, STRIDE, sliced, walked
from schedora.application.ports.job_reader import JobFilter, JobPage
from schedora.domain.ids import JobId, JsonText, uuid7
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, HELD, WAITING, JobState

CLOCKS_APART = timedelta(minutes=5)
"""A job's id tells the time of whoever submitted it, ``created_at`` that of the database: so far apart can these
be, and ranges of time are still exact.
"""

_BOUNDS = frozenset({"below", "from", "until", "workflow_id"})

_GET = compiled(rows.selected_jobs().where(jobs.c.job_id == bindparam("job_id")))
_GOING_ON = compiled(
    select(jobs.c.job_id).where(
        jobs.c.job_id == func.any(bindparam("job_ids", type_=ARRAY(Uuid))),
        among(jobs.c.status, WAITING),
    )
)
_upstream = jobs.alias("upstream")
_UPSTREAM_RESULTS = compiled(
    select(_upstream.c.job_id, _upstream.c.key, cast(_upstream.c.result, Text).label("result"))
    .join(jobs, _upstream.c.job_id == func.any(jobs.c.depends_on))
    .where(jobs.c.job_id == bindparam("job_id"))
)


class PostgresJobReader:
    def __init__(
        self, database: Database, *, stride: int = STRIDE, sparse_stride: int = SPARSE_STRIDE
    ) -> None:
        self._database = database
        self._stride = stride
        self._sparse_stride = sparse_stride

    async def get(self, job_id: JobId) -> Job | None:
        found = await self._database.fetch(_GET, job_id=job_id)
        return rows.job(found[0]) if found else None

    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        values = {name: value for name, value in _asked(job_filter).items() if name != "states"}
        values |= _bounds(job_filter, after)
        statement = _page(job_filter.states, frozenset(values))
        stride = self._sparse_stride if _sparse(job_filter.states, frozenset(values)) else self._stride
        found = await self._database.fetch(statement, **values, stride=stride, limit=limit)
        page = sliced(found, limit=limit, stride=stride)
        return JobPage(
            jobs=tuple(rows.job(row) for row in page.rows),
            next_after=None if page.next_after is None else JobId(page.next_after),
        )

    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        going_on = await self._database.fetch(_GOING_ON, job_ids=list(job_ids))
        return set(job_ids) - {row["job_id"] for row in going_on}

    async def upstream_results(self, job_id: JobId) -> Mapping[str, JsonText | None]:
        upstream = await self._database.fetch(_UPSTREAM_RESULTS, job_id=job_id)
        return {row["key"] or str(row["job_id"]): row["result"] for row in upstream}


def _asked(job_filter: JobFilter) -> dict[str, Any]:
    return {
        name: value for name, value in attrs.asdict(job_filter, recurse=False).items() if value is not None
    }


def _bounds(job_filter: JobFilter, after: JobId | None) -> dict[str, Any]:
    """Ids between which everything is."""
    bounds: dict[str, Any] = {} if after is None else {"below": after}
    if job_filter.created_after is not None:
        bounds["from"] = _id_at(job_filter.created_after, -CLOCKS_APART)
    if job_filter.created_before is not None:
        bounds["until"] = _id_at(job_filter.created_before, CLOCKS_APART)
    return bounds


def _id_at(instant: datetime, shift: timedelta) -> UUID:
    """Not above any id of the instant that is so far away from this one."""
    milliseconds = (instant.timestamp() + shift.total_seconds()) * 1000  # which has no end, as dates have
    return uuid7(max(0, int(milliseconds)), 0)


@cache
def _page(states: frozenset[JobState], names: frozenset[str]) -> Statement:
    """The statement for a page of these states, filtered by the parameters of these names."""
    place = _places(states) if _sparse(states, names) else None
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
    return walked(rows.selected_jobs(), jobs.c.job_id, along=along, by=key, within=within, fits=fits)


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


def _sparse(states: frozenset[JobState], names: frozenset[str]) -> bool:
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
