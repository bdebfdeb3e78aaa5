"""Whether the database is there."""

from datetime import timedelta

from schedora.adapters.postgres.engine import Database

_PATIENCE = timedelta(milliseconds=1500)


class PostgresHealth:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> None:
        await self._database.ping(_PATIENCE)
