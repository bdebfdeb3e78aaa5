"""The schema: made, brought up to date, recognised, left alone."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine

from schedora.adapters.postgres import migration, schema
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.migration import configuration, on_connection
from schedora.adapters.postgres.schema import REVISIONS, VERSION_TABLE, verify
from schedora.adapters.postgres.tables import metadata
from schedora.adapters.postgres.upgrade import create, migrate
from schedora.application.errors import SchemaMismatch, StoreUnavailable
from tests.databases import empty_database

CATALOG = """
    select 'column', c.relname, a.attname, concat_ws(
        ' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
    )
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
    union all
    select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
    union all
    select 'index', tablename, indexname, indexdef from pg_indexes where schemaname = 'public'
    union all
    select 'options', relname, '', array_to_string(reloptions, ' ')
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    order by 1, 2, 3
"""


def catalog(url: str) -> list[tuple[str, ...]]:
    """All that was made, but for the order of columns and what Alembic keeps for itself."""
    with psycopg.connect(url) as connection:
        return [row for row in connection.execute(CATALOG) if row[1] != VERSION_TABLE]


def sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


def on(url: str, action: Callable[[Connection], None]) -> None:
    asyncio.run(on_connection(Location.parse(url), action))


def upgrade(url: str, revision: str) -> None:
    on(url, lambda connection: command.upgrade(configuration(connection), revision))


def downgrade(url: str, revision: str) -> None:
    on(url, lambda connection: command.downgrade(configuration(connection), revision))


def set_revision(url: str, revision: str, *, compatible_since: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"update {VERSION_TABLE} set version_num = %s".encode(), [revision])
        connection.execute("update schema_compatibility set since = %s", [compatible_since])


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("select tablename from pg_tables where schemaname = 'public'")
        return {str(name) for (name,) in found}


@pytest.fixture
def outdated(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database whose schema is older than what this version would need."""
    migrate(database_url)
    monkeypatch.setattr(schema, "REVISIONS", (*REVISIONS, "9999"))
    return database_url


@pytest.fixture
def newer(database_url: str) -> str:
    migrate(database_url)
    set_revision(database_url, "9999", compatible_since="9998")
    return database_url


@pytest.fixture
def another_users_url(database_url: str) -> Iterator[str]:
    """The same database for somebody who may do nothing in it."""
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"create role {name} login password 'secret'".encode())
        parts = urlsplit(database_url)
        _, at, hosts = parts.netloc.rpartition("@")
        yield urlunsplit(parts._replace(netloc=f"{name}:secret{at or '@'}{hosts}"))
        connection.execute(f"drop owned by {name}; drop role {name}".encode())


def test_each_step_up_can_be_taken_down_and_up_again(database_url: str) -> None:
    before = catalog(database_url)
    for revision in REVISIONS:
        upgrade(database_url, revision)
        after = catalog(database_url)
        downgrade(database_url, "-1")
        assert catalog(database_url) == before, f"{revision} leaves something behind"
        upgrade(database_url, revision)
        assert catalog(database_url) == after, f"{revision} is not the same the second time"
        before = after
    verify(database_url)
    downgrade(database_url, "base")
    assert catalog(database_url) == []


def test_migrations_make_the_tables_that_the_code_knows(database_url: str) -> None:
    migrate(database_url)
    engine = create_engine(sqlalchemy_url(database_url))
    with engine.connect() as connection:
        opts = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=opts), metadata) == []
    engine.dispose()


def test_migrations_make_constraints_and_room_in_pages_as_the_code_has_them(
    migrated_url: str, database_url: str
) -> None:
    engine = create_engine(sqlalchemy_url(database_url))
    metadata.create_all(engine)
    engine.dispose()
    assert catalog(migrated_url) == catalog(database_url)


def test_revisions_known_are_those_that_come_along() -> None:
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    scripts = ScriptDirectory.from_config(configuration())
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


@pytest.mark.parametrize("bring_up", [migrate, create])
def test_a_database_is_brought_up_once_and_then_left_alone(
    database_url: str, bring_up: Callable[[str], None]
) -> None:
    with pytest.raises(SchemaMismatch, match=r"no tables yet; run: schedora migrate$"):
        verify(database_url)
    bring_up(database_url)
    verify(database_url)
    made = catalog(database_url)
    bring_up(database_url)
    assert catalog(database_url) == made


def test_any_number_bring_it_up_at_once(postgres_server_url: str, database_url: str) -> None:
    with ThreadPoolExecutor() as threads, empty_database(postgres_server_url) as another:
        for done in [
            threads.submit(bring_up, url)
            for url in (database_url, another)
            for bring_up in (migrate, create, migrate, create)
        ]:
            done.result()
        verify(another)
    verify(database_url)


def test_an_older_schema_is_migrated_by_who_means_it_alone(outdated: str) -> None:
    for refuse in (verify, create):
        with pytest.raises(
            SchemaMismatch, match=rf"schema {REVISIONS[-1]}, .* needs 9999; run: schedora migrate$"
        ):
            refuse(outdated)
    with pytest.raises(Exception, match="9999"):  # which does not exist: it went for it
        migrate(outdated)


@pytest.mark.parametrize("touch", [verify, create, migrate])
def test_a_newer_schema_is_left_alone(newer: str, touch: Callable[[str], None]) -> None:
    with pytest.raises(SchemaMismatch, match="schema 9999, which is newer than this version") as refused:
        touch(newer)
    assert "\n" not in str(refused.value)
    set_revision(newer, REVISIONS[-1], compatible_since="9998")  # which is not asked on what it knows
    verify(newer)


@pytest.mark.parametrize("touch", [verify, create, migrate])
@pytest.mark.parametrize("since", [REVISIONS[-1], REVISIONS[0]])
def test_a_newer_schema_that_only_added_to_this_one_is_worked_on_and_left_alone(
    newer: str, touch: Callable[[str], None], since: str
) -> None:
    set_revision(newer, "9999", compatible_since=since)
    before = catalog(newer)
    touch(newer)
    assert catalog(newer) == before
    with psycopg.connect(newer) as connection:
        assert connection.execute(f"select version_num from {VERSION_TABLE}".encode()).fetchall() == [
            ("9999",)
        ]


def test_a_newer_schema_that_does_not_say_what_may_work_on_it_is_left_alone(newer: str) -> None:
    with psycopg.connect(newer) as connection:
        connection.execute("truncate schema_compatibility")
    with pytest.raises(SchemaMismatch, match="newer than this version"):
        verify(newer)


def test_code_that_knows_more_refuses_the_older_schema_whatever_that_says(outdated: str) -> None:
    with pytest.raises(SchemaMismatch, match="needs 9999; run: schedora migrate"):
        verify(outdated)


def test_a_table_that_stays_in_use_is_given_up_and_nothing_is_changed(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(migration, "_LOCK_PATIENCE_MS", 1)
    monkeypatch.setattr(migration, "_PAUSE_SECONDS", 0)
    monkeypatch.setattr(migration, "_ATTEMPTS_MAX", 3)
    upgrade(database_url, "0009")
    before = catalog(database_url)
    with psycopg.connect(database_url) as somebody:
        somebody.execute("select from workers")
        with pytest.raises(
            StoreUnavailable, match="stay in use by a long transaction, and nothing was changed"
        ):
            migrate(database_url)
    assert catalog(database_url) == before
    assert len([record for record in caplog.records if "in use by another" in record.getMessage()]) == 1
    migrate(database_url)
    verify(database_url)


def test_a_program_with_migrations_of_its_own_keeps_them(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table alembic_version as select 'ae10' as version_num")
        connection.execute("create table orders (order_id bigint primary key)")
    create(database_url)
    verify(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select version_num from alembic_version").fetchall() == [("ae10",)]
    downgrade(database_url, "base")
    assert tables(database_url) == {"alembic_version", "orders", VERSION_TABLE}


@pytest.mark.parametrize("bring_up", [migrate, create])
def test_a_table_of_another_program_is_not_touched(
    database_url: str, bring_up: Callable[[str], None]
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("create table workflows (mine text)")
    with pytest.raises(SchemaMismatch, match=r'another program .* "workflows" already exists') as refused:
        bring_up(database_url)
    assert "\n" not in str(refused.value)
    assert tables(database_url) == {"workflows"}, "half-written"


def test_a_user_who_may_not_make_tables_is_told(another_users_url: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"does not allow it .* permission denied") as refused:
        migrate(another_users_url)
    assert "\n" not in str(refused.value)


def test_alembic_alone_works_on_the_database_of_the_environment(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    command.upgrade(configuration(), "head")
    verify(database_url)
