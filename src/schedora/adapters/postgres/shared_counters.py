"""Counts of all processes together."""

from collections.abc import Mapping
from functools import lru_cache

import orjson

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import written
from schedora.application.ports.shared_counters import Series

# Sorted by whoever calls, so that processes adding to the same series don't wait for each other in a circle.
_ADD = written("""
insert into metric_totals (name, labels, value)
select a.name, a.labels, a.amount
from unnest(:names::text[], :labels::text[], :amounts::float8[]) as a (name, labels, amount)
on conflict (name, labels) do update set value = metric_totals.value + excluded.value
""")
_LABELS_KEPT = 20_000
"""Decoded: who reads the totals reads the same labels again and again."""

_READ = written("select t.name, t.labels, t.value from metric_totals t")


class PostgresSharedCounters:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, increments: Mapping[Series, float]) -> None:
        if not increments:
            return
        series = sorted((one.name, _encoded(one.labels), float(amount)) for one, amount in increments.items())
        names, labels, amounts = zip(*series, strict=True)
        await self._database.fetch(_ADD, names=list(names), labels=list(labels), amounts=list(amounts))

    async def read(self) -> Mapping[Series, float]:
        kept = await self._database.fetch(_READ)
        return {Series(row["name"], _decoded(row["labels"])): row["value"] for row in kept}


@lru_cache(maxsize=_LABELS_KEPT)
def _decoded(labels: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in orjson.loads(labels))


def _encoded(labels: tuple[tuple[str, str], ...]) -> str:
    return orjson.dumps(labels).decode()
