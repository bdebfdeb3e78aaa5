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
    bindparam,
    case,
    cast,
    func,
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
from schedora.domain.job_state import HELD, WAITING, JobState

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
_STATUS = case(
    (job_leases.c.job_id.is_(None), jobs.c.status),
    (job_leases.c.started_at.is_(None), JobState.SCHEDULED.value),
    else_=JobState.RUNNING.value,
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
    place = _places(states, after)
    statement = rows.selected_jobs()
    key: ColumnElement[Any] = jobs.c.job_id
    if place is not None:
        statement = statement.join(place, place.c.job_id == jobs.c.job_id)
        key = place.c.job_id
    if after is not None:
        statement = statement.where(key < after)
    if states:
        statement = statement.where(among(_STATUS, states))
    for name in sorted(names - {"after"}):
        statement = statement.where(_condition(name))
    return compiled(statement.order_by(key.desc()).limit(bindparam("limit", type_=Integer)))


def _places(states: frozenset[JobState], after: ColumnElement[Any] | None) -> FromClause | None:
    """The ids of the jobs that may be in these states; None where these may be most of all jobs."""
    if not states or not states <= WAITING | HELD | {JobState.DEAD}:
        return None
    parts = [select(ids).where(*conditions) for ids, conditions in _small_sets(states)]
    if after is not None:
        parts = [part.where(part.selected_columns.job_id < after) for part in parts]
    return union_all(*parts).subquery("place")


def _small_sets(
    states: frozenset[JobState],
) -> Iterator[tuple[ColumnElement[Any], list[ColumnElement[bool]]]]:
    if states & WAITING:
        yield job_ready.c.job_id, []
        blocked = jobs.alias("blocked")
        yield blocked.c.job_id, [blocked.c.waits_for > 0]
    if states & HELD:
        yield job_leases.alias("held").c.job_id, []
    if JobState.DEAD in states:
        dead = jobs.alias("dead")
        yield dead.c.job_id, [dead.c.dead_at.is_not(None)]


def _condition(name: str) -> ColumnElement[bool]:
    match name:
        case "worker_id":
            return func.coalesce(job_leases.c.worker_id, jobs.c.worker_id) == bindparam(name, type_=Text)
        case "error_kind":
            kind: ColumnElement[str] = jobs.c.errors[-1]["kind"].astext
            return kind == bindparam(name, type_=Text)
        case "created_after":
            return jobs.c.created_at >= bindparam(name, type_=jobs.c.created_at.type)
        case "created_before":
            return jobs.c.created_at < bindparam(name, type_=jobs.c.created_at.type)
        case _:
            return jobs.c[name] == bindparam(name, type_=jobs.c[name].type)
