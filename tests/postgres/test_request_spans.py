"""Requests in PostgreSQL: a batch a row."""

from datetime import timedelta

import pytest

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.request_spans import PostgresRequestSpans
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, written
from schedora.application.ports.request_spans import Asked
from tests.contract.postgres import postgres_stores
from tests.contract.test_request_spans import LONG, a_request_served

KEPT = written("select r.id, cardinality(r.span_ids) as amount from request_spans r order by r.id")


async def test_a_batch_is_numbered_by_its_last_request_among_all(database: Database) -> None:
    request_spans = PostgresRequestSpans(database)
    for amount in (3, 1, 5):
        await request_spans.keep([a_request_served() for _ in range(amount)])
    first, second, third = await database.fetch(KEPT)
    assert (first["amount"], second["amount"], third["amount"]) == (3, 1, 5)
    assert (second["id"] - first["id"], third["id"] - second["id"]) == (1, 5)
    # The newest four reach into the third batch alone, the newest six into the second as well.
    assert await request_spans.prune(LONG, spans_max=6, limit=10) == 3
    assert await request_spans.prune(LONG, spans_max=4, limit=10) == 1


async def test_requests_are_looked_for_at_about_their_time(database: Database) -> None:
    request_spans = PostgresRequestSpans(database)
    served = [a_request_served() for _ in range(3)]
    await request_spans.keep(served)
    now = await postgres_stores(database).now()
    wanted = served[1].trace.span_id
    for seconds, found in ((-70, False), (-50, True), (0, True), (1.5, True), (10, False)):
        asked = Asked(wanted, now + timedelta(seconds=seconds))
        assert (await request_spans.find([asked]) == [served[1]]) is found


async def test_a_batch_in_which_several_are_is_read_once(database: Database) -> None:
    request_spans = PostgresRequestSpans(database)
    served = [a_request_served() for _ in range(4)]
    await request_spans.keep(served[:2])
    await request_spans.keep(served[2:])
    now = await postgres_stores(database).now()
    assert await request_spans.find([Asked(one.trace.span_id, now) for one in served[:3]]) == served[:3]


async def test_of_a_batch_nothing_is_answered_that_is_not_asked_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    request_spans = PostgresRequestSpans(database)
    served = [a_request_served() for _ in range(100)]
    await request_spans.keep(served)
    now = await postgres_stores(database).now()
    answers: list[list[Row]] = []
    fetch = database.fetch

    async def overheard(statement: Statement, **values: object) -> list[Row]:
        answers.append(list(await fetch(statement, **values)))
        return answers[-1]

    monkeypatch.setattr(database, "fetch", overheard)
    assert await request_spans.find([Asked(served[7].trace.span_id, now)]) == [served[7]]
    ((row,),) = answers
    assert len(row["request"]) < 200
