"""Jobs as they are looked at.

Pages follow the key, which is ordered by time, so that no page sorts. Where only states are asked for that few
jobs are in, the small tables and the partial indexes tell which those are.
"""

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

import attrs
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Integer,
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
from schedora.application.ports.job_reader import JobFilter, JobPage
from schedora.domain.ids import JobId, JsonText
from schedora.domain.job import Job
from schedora.domain.job_state import ENDED, HELD, WAITING, JobState

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
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: JobId) -> Job | None:
        found = await self._database.fetch(_GET, job_id=job_id)
        return rows.job(found[0]) if found else None

    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        values = {name: value for name, value in _asked(job_filter).items() if name != "states"}
        if after is not None:
            values["after"] = after
        statement = _page(job_filter.states, frozenset(values))
        # One more than asked for tells whether there is a next page.
        found = await self._database.fetch(statement, **values, limit=limit + 1)
        shown = tuple(rows.job(row) for row in found[:limit])
        return JobPage(jobs=shown, next_after=shown[-1].job_id if len(found) > limit else None)

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


@cache
def _page(states: frozenset[JobState], names: frozenset[str]) -> Statement:
    """The statement for a page of these states, filtered by the parameters of these names."""
    after = bindparam("after", type_=Uuid) if "after" in names else None
    place = _places(states)
    statement = rows.selected_jobs()
    key: ColumnElement[Any] = jobs.c.job_id
    if place is not None:
        statement = statement.join(place, place.c.job_id == jobs.c.job_id)
        key = place.c.job_id
    if after is not None:
        statement = statement.where(key < after)
    if states:
        statement = statement.where(_in_states(states))
    for name in sorted(names - {"after"}):
        statement = statement.where(_condition(name))
    return compiled(statement.order_by(key.desc()).limit(bindparam("limit", type_=Integer)))


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


def _places(states: frozenset[JobState]) -> FromClause | None:
    """The ids of the jobs that may be in these states; None where these may be most of all jobs."""
    if not states or not states <= WAITING | HELD | {JobState.DEAD}:
        return None
    parts = [select(ids).where(*conditions) for ids, conditions in _small_sets(states)]
    return union_all(*parts).subquery("place")


def _small_sets(
    states: frozenset[JobState],
) -> Iterator[tuple[ColumnElement[Any], list[ColumnElement[bool]]]]:
    if states & WAITING:
        yield job_ready.c.job_id, []
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
