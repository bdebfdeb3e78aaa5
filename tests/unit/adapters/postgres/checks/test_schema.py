"""What the schema is held against."""

from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.schema import CreateTable

from schedora.adapters.postgres.checks.schema import wanted_tables
from schedora.adapters.postgres.tables import metadata


def statements() -> list[str]:
    made = dialect()  # type: ignore[no-untyped-call] # as SQLAlchemy has it
    return [str(CreateTable(table).compile(dialect=made)) for table in metadata.sorted_tables]


def test_the_tables_are_left_as_they_are() -> None:
    before = statements()
    wanted_tables.cache_clear()
    assert {table.name for table in wanted_tables()} == set(metadata.tables)
    assert statements() == before
    assert all("PRIMARY KEY" in statement or "CREATE TABLE job_counts" in statement for statement in before)
