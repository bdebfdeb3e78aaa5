"""The hot path: completions and starts in, claims out, in one statement."""

from collections.abc import Sequence
from typing import Any

import attrs

from schedora.adapters.postgres import arrays, rows
from schedora.adapters.postgres.claim_cursor import NO_PLACES, ClaimCursor
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, load
from schedora.application.errors import Entangled
from schedora.application.ports.job_queue import ClaimRequest, Delivery, Exchanged
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId

_TRIES = 5
_NOW = Statement("select now() as at", ())
_NO_CLAIM: dict[str, Any] = {
    "owner": None, "worker_id": "", "queues": [], "types": [], "limit": 0, "start_count": 0, **NO_PLACES,
}  # fmt: skip


class PostgresJobQueue:
    """One exchange at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cursor = ClaimCursor()

    async def exchange(self, delivery: Delivery) -> Exchanged:
        exchanged = await self._exchange(delivery)
        wish, missing = delivery.claim, _missing(delivery, exchanged)
        if wish is None or not missing or not self._cursor.behind:
            return exchanged
        # The cursor has passed over what came in before its places: the rest from the beginning.
        start_count = max(0, wish.start_count - len(exchanged.claimed))
        rest = await self._exchange(
            Delivery(claim=attrs.evolve(wish, limit=missing, start_count=start_count))
        )
        claimed = sorted((*exchanged.claimed, *rest.claimed), key=rows.running_order)
        return attrs.evolve(exchanged, at=rest.at, claimed=tuple(claimed), next_due_at=rest.next_due_at)

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return frozenset(row["lease_id"] for row in await self._database.fetch(load("held"), owner=owner))

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        held = await self._database.fetch(load("claims"), owner=owner)
        return [rows.claimed_job(row, owner, row["worker_id"]) for row in held]

    async def _exchange(self, delivery: Delivery) -> Exchanged:
        wish = delivery.claim
        answer = await self._answer(delivery)
        exchanged = Exchanged(at=answer[0]["at"])
        if delivery.completions or delivery.starts:
            exchanged = attrs.evolve(exchanged, accepted=frozenset(answer[0]["accepted"]))
        if wish is None:
            return exchanged
        claims = answer if answer[0]["job_id"] is not None else ()
        self._cursor.finish(claims, full=len(claims) == wish.limit)
        return attrs.evolve(
            exchanged,
            claimed=tuple(rows.claimed_job(row, wish.owner, wish.worker_id) for row in claims),
            next_due_at=answer[0]["next_due_at"],
        )

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
        ending = {completion.lease_id for completion in delivery.completions}
        # The end of a claim says all that its start could say.
        starts = [start for start in delivery.starts if start.lease_id not in ending]
        values = {
            "complete": arrays.of_completions(delivery.completions),
            "start": arrays.of_starts(starts),
            "claim": self._claim(delivery.claim),
        }
        due = [
            name
            for name, wanted in (
                ("complete", delivery.completions), ("start", starts), ("claim", delivery.claim)
            )
            if wanted
        ]  # fmt: skip
        match due:
            case []:
                return _NOW, {}
            case [name]:
                return load(name), values[name]
            case _:
                return load("exchange"), {**values["complete"], **values["start"], **values["claim"]}

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
            **self._cursor.start(),
        }


def _missing(delivery: Delivery, exchanged: Exchanged) -> int:
    return delivery.claim.limit - len(exchanged.claimed) if delivery.claim else 0
