"""Kept counts of ended jobs: changes are appended, and summed up now and then."""

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import load

_FEW = 100
"""So many rows are read as fast as one."""


async def fold_counts(database: Database) -> None:
    """Makes one row for each queue and state of many; does nothing while there are few."""
    await database.fetch(load("fold_counts"), few=_FEW)
