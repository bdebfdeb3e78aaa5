"""Counts of all processes together."""

from collections.abc import Mapping

import orjson
from sqlalchemy import ARRAY, Double, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.statements import compiled
from schedora.adapters.postgres.tables import metric_totals
from schedora.application.ports.totals import Series

# Sorted by whoever calls, so that processes adding to the same series don't wait for each other in a circle.
_increments = (
    func.unnest(
        bindparam("names", type_=ARRAY(Text)),
        bindparam("labels", type_=ARRAY(Text)),
        bindparam("amounts", type_=ARRAY(Double)),
    )
    .table_valued("name", "labels", "value")
    .render_derived()
)
_added = insert(metric_totals).from_select(["name", "labels", "value"], select(_increments))
_ADD = compiled(
    _added.on_conflict_do_update(
        index_elements=[metric_totals.c.name, metric_totals.c.labels],
        set_={"value": metric_totals.c.value + _added.excluded.value},
    )
)
_READ = compiled(select(metric_totals.c.name, metric_totals.c.labels, metric_totals.c.value))


class PostgresTotals:
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
        return {
            Series(row["name"], tuple((name, value) for name, value in orjson.loads(row["labels"]))): row[
                "value"
            ]
            for row in kept
        }


def _encoded(labels: tuple[tuple[str, str], ...]) -> str:
    return orjson.dumps(labels).decode()
