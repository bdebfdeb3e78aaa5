"""Requests that submitted jobs, kept so that their spans can be looked at.

A row is a batch of them. That costs a hundredth of a row each, and they are looked for by the time of their job: few
batches are of about that time, and the numbers of their spans tell which has it.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, Final

import orjson

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import written
from schedora.application.ports.request_spans import Asked
from schedora.application.telemetry.request_span import ServedRequest
from schedora.domain.trace import TraceContext

_EARLIEST: Final = timedelta(seconds=2)
"""So long before its job a batch may seem to be written: after a failover clocks differ."""
_LATEST: Final = timedelta(minutes=1)

# The id of a batch is the number of its last request among all: that tells which are too many without counting.
_KEEP = written("""
insert into request_spans (id, span_ids, requests)
select max(nextval('request_spans_id_seq')), :span_ids::bigint[], :requests::text
from generate_series(1, cardinality(:span_ids::bigint[]))
""")
# Of a batch no more is answered than what is asked for: jobs of one workflow may have come in hundreds of them.
_FIND = written("""
select e.request::text as request
from (
    select distinct on (r.id) r.span_ids, r.requests
    from unnest(:span_ids::bigint[], :ats::timestamptz[]) as a (span_id, at)
    join request_spans r
        on r.at between a.at - :earliest::interval and a.at + :latest::interval and a.span_id = any(r.span_ids)
    order by r.id
) r
cross join lateral rows from (json_array_elements(r.requests::json), unnest(r.span_ids)) as e (request, span_id)
where e.span_id = any(:span_ids::bigint[])
""")
_PRUNE = written("""
with
oldest as materialized (
    select r.id, r.at from request_spans r order by r.id limit :limit::int
),
removed as (
    delete from request_spans r
    using oldest o
    where r.id = o.id
        and (
            o.at < clock_timestamp() - :kept_for::interval
            or o.id <= (select max(n.id) from request_spans n) - :spans_max::bigint
        )
    returning r.span_ids
)
select coalesce(sum(cardinality(r.span_ids)), 0)::bigint as removed from removed r
""")


class PostgresRequestSpans:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, served: Sequence[ServedRequest]) -> None:
        if served:
            await self._database.fetch(
                _KEEP,
                span_ids=[_number(one.trace.span_id) for one in served],
                requests=orjson.dumps([_stored(one) for one in served]).decode(),
            )

    async def find(self, asked: Collection[Asked]) -> list[ServedRequest]:
        if not asked:
            return []
        wanted = {one.span_id: one.at for one in asked}
        found = await self._database.fetch(
            _FIND,
            span_ids=[_number(span_id) for span_id in wanted],
            ats=list(wanted.values()),
            earliest=_EARLIEST,
            latest=_LATEST,
        )
        return [_served(orjson.loads(row["request"])) for row in found]

    async def prune(self, kept_for: timedelta, *, spans_max: int, limit: int) -> int:
        (row,) = await self._database.fetch(_PRUNE, kept_for=kept_for, spans_max=spans_max, limit=limit)
        return int(row["removed"])


def _number(span_id: str) -> int:
    """Its 64 bits, as PostgreSQL takes them."""
    return int.from_bytes(bytes.fromhex(span_id), signed=True)


def _stored(served: ServedRequest) -> list[Any]:
    return [
        served.trace.traceparent, served.parent_span_id, served.method, served.route, served.status, served.start_ns,
        served.end_ns, served.jobs, served.stored_ns,
    ]  # fmt: skip


def _served(stored: list[Any]) -> ServedRequest:
    traceparent, *others = stored
    return ServedRequest(TraceContext.stored(traceparent), *others)
