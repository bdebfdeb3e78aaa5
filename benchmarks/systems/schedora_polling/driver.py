"""Schedora where no hint arrives, as behind a pooler in transaction mode and without Redis."""

from __future__ import annotations

import psycopg
from benchmarks.systems.schedora import driver
from psycopg import sql

# Found before PostgreSQL's own by whoever does not name a schema.
SILENT = "CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql AS ''"
PATH = "ALTER DATABASE {} SET search_path = public, pg_catalog"


def setup(url: str) -> None:
    """Make the tables, and nothing of NOTIFY but its name."""
    driver.setup(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SILENT)
        connection.execute(sql.SQL(PATH).format(sql.Identifier(connection.info.dbname)))


if __name__ == "__main__":
    driver.main(setup=setup)
