"""The hot path: completions and starts in, claims out, in one statement."""

from collections.abc import Sequence
from typing import Any

import attrs

from schedora.adapters.postgres import arrays, rows
from schedora.adapters.postgres.claim_cursor import ClaimCursor
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.errors import Entangled
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, load
from schedora.application.ports.job_queue import ClaimRequest, Delivery, Exchanged
from schedora.domain.ids import IncarnationId, LeaseId

_TRIES = 5
_NOW = Statement("select now() as at", ())

_NO_CLAIM: dict[str, Any] = {
    "owner": None,
    "worker_id": "",
    "queues": [],
    "types": [],
    "limit": 0,
    "start_count": 0,
    **ClaimCursor().parameters(),
}


class PostgresJobQueue:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._cursor = ClaimCursor()

    async def exchange(self, delivery: Delivery) -> Exchanged:
        answer = await self._answer(delivery)
        first, wish = answer[0], delivery.claim
        exchanged = Exchanged(at=first["at"])
        if delivery.completions or delivery.starts:
            exchanged = attrs.evolve(exchanged, accepted=frozenset(first["accepted"]))
        if wish is None:
            return exchanged
        claimed = tuple(
            rows.claimed_job(row, wish.owner, wish.worker_id) for row in answer if row["job_id"] is not None
        )
        return attrs.evolve(exchanged, claimed=claimed, next_due_at=first["next_due_at"])

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return frozenset(row["lease_id"] for row in await self._database.fetch(load("held"), owner=owner))

    async def _answer(self, delivery: Delivery) -> Sequence[Row]:
        """Running it again after a conflict is safe: nothing of it happened, and the fence stands."""
        statement, values = self._statement(delivery)
        for _ in range(_TRIES - 1):
            try:
                return await self._database.fetch(statement, **values)
            except Entangled:
                continue
        return await self._database.fetch(statement, **values)

    def _statement(self, delivery: Delivery) -> tuple[Statement, dict[str, Any]]:
        """The smallest one that does all that is due."""
        completions, starts, wish = delivery.completions, delivery.starts, delivery.claim
        ending = {completion.lease_id for completion in completions}
        # The end of a claim says all that its start could say.
        starts = [start for start in starts if start.lease_id not in ending]
        due: list[tuple[str, dict[str, Any]]] = []
        if completions:
            due.append(("complete", arrays.of_completions(completions)))
        if starts:
            due.append(("start", arrays.of_starts(starts)))
        if wish is not None:
            due.append(("claim", self._claim(wish)))
        match due:
            case []:
                return _NOW, {}
            case [(name, values)]:
                return load(name), values
            case _:
                values = {**arrays.of_completions(completions), **arrays.of_starts(starts)}
                return load("exchange"), {**values, **self._claim(wish)}

    def _claim(self, wish: ClaimRequest | None) -> dict[str, Any]:
        if wish is None:
            return _NO_CLAIM
        return {
            "owner": wish.owner,
            "worker_id": wish.worker_id,
            "queues": list(wish.queues),
            "types": list(wish.types),
            "limit": wish.limit,
            "start_count": wish.start_count,
            **self._cursor.parameters(),
        }
