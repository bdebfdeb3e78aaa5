"""Statements as PostgreSQL takes them."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Select, bindparam, select
from sqlalchemy.schema import CreateTable

from schedora.adapters.postgres import statements
from schedora.adapters.postgres.built import compiled
from schedora.adapters.postgres.full_rows import selected_jobs, selected_workflows
from schedora.adapters.postgres.statements import Statement, load
from schedora.adapters.postgres.tables import jobs


def test_parameters_are_numbered_in_the_order_of_the_text_and_given_by_name() -> None:
    statement = Statement("select $1, $2", ("b", "a"))
    assert statement.arguments(a=1, b=2) == (2, 1)


def test_a_statement_takes_exactly_its_parameters() -> None:
    statement = Statement("select $1", ("a",))
    for values in ({}, {"b": 1}, {"a": 1, "b": 1}):
        with pytest.raises(TypeError, match=r"the statement takes \['a'\], not"):
            statement.arguments(**values)


def test_constants_belong_to_the_statement() -> None:
    statement = compiled(select(jobs.c.job_id).where(jobs.c.queue == "mail", jobs.c.key == bindparam("key")))
    assert sorted(statement.arguments(key="k")) == ["k", "mail"]


def test_parts_are_put_in_and_comments_left_out() -> None:
    text = load("batch_sync").text
    assert "{complete}" not in text
    assert "delete from job_leases" in text
    assert "--" not in text


def test_a_part_that_is_no_list_of_expressions_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"whole": "with\n{part}\nselect 1", "part": "values (1)"}
    monkeypatch.setattr(statements, "_read", texts.__getitem__)
    with pytest.raises(ValueError, match=r"part\.sql is not of the form: \[with \.\.\.\] select"):
        load.__wrapped__("whole")


@pytest.mark.parametrize(
    ("name", "selected"),
    [("full_jobs", selected_jobs), ("full_workflows", selected_workflows)],
    ids=["jobs", "workflows"],
)
async def test_whole_rows_are_the_same_written_and_built(
    name: str, selected: Callable[[], Select[Any]], migrated_url: str
) -> None:
    built = compiled(selected())
    connection = await asyncpg.connect(migrated_url)
    try:
        answered = [
            [column.name for column in (await connection.prepare(text)).get_attributes()]
            for text in (load(name).text, built.text)
        ]
    finally:
        await connection.close()
    assert answered[0] == answered[1]


def test_what_is_no_query_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="numbers its parameters"):
        compiled(CreateTable(jobs))
