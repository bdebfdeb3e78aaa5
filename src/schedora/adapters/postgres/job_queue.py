"""The hot path: completions and starts in, claims out, in one statement."""

import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from schedora.adapters.postgres import arrays, rows
from schedora.adapters.postgres.claim_cursor import BEGINNING, ClaimCursor, Start
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, load
from schedora.application.errors import LockConflict
from schedora.application.ports.job_queue import ClaimRequest, SyncAnswer, SyncBatch
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import IncarnationId, LeaseId

_TRIES = 5
_NOW = Statement("select now() as at", ())
_NO_CLAIM: dict[str, Any] = {
    "owner": None, "worker_id": "", "queues": [], "types": [], "limit": 0, "start_count": 0,
}  # fmt: skip
_MANY_SECONDS = 1.0


class PostgresJobQueue:
    """Batches may overlap: each is a transaction of its own."""

    def __init__(self, database: Database, monotonic_seconds: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic_seconds = monotonic_seconds
        self._cursor = ClaimCursor()
        self._little_left = False
        """Whether the last claim found less than was asked for: then the next is likely to find little as well."""
        self._many_until = 0.0
        """For so long it is known to be no use to look for few."""

    async def sync(self, batch: SyncBatch) -> SyncAnswer:
        wish = batch.claim
        start = BEGINNING if wish is None else self._cursor.start()
        plain = start.plain and not batch.completions and not batch.starts
        if wish is not None and plain and self._may_be_few() and (found := await self._claim_few(wish)):
            return found
        answer = await self._fetch(*_statement(batch, start))
        at = answer[0]["at"]
        accepted: Collection[LeaseId] = ()
        if batch.completions or batch.starts:
            some = answer[0]["accepted"]
            accepted = batch.leases if some is None else some
        if wish is None:
            return SyncAnswer(at=at, accepted=frozenset(accepted))
        claims = answer if answer[0]["job_ids"] is not None else ()
        claimed = rows.claimed_jobs(claims, wish.owner, wish.worker_id)
        full = len(claimed) == wish.limit
        self._little_left = not full
        self._cursor.finish(start, answer[0], rows.last_of_each(claims), jobs=len(claimed), full=full)
        return SyncAnswer(
            at=at,
            accepted=frozenset(accepted),
            claimed=claimed,
            next_due_at=answer[0]["next_due_at"] if full else self._next_look_at(start, answer[0]),
        )

    async def held(self, owner: IncarnationId) -> frozenset[LeaseId]:
        return frozenset(row["lease_id"] for row in await self._database.fetch(load("held"), owner=owner))

    async def claims(self, owner: IncarnationId) -> list[ClaimedJob]:
        held = await self._database.fetch(load("claims"), owner=owner)
        return [rows.claimed_job(row, owner, row["worker_id"]) for row in held]

    def _next_look_at(self, start: Start, answer: Row) -> datetime | None:
        """When the next one falls due; or sooner, for what this claim may have passed over."""
        due_at: datetime | None = answer["next_due_at"]
        if not start.behind:
            return due_at
        restart_at: datetime = answer["at"] + self._cursor.restart_in()
        return restart_at if due_at is None else min(due_at, restart_at)

    def _may_be_few(self) -> bool:
        return self._little_left and self._monotonic_seconds() >= self._many_until

    async def _claim_few(self, wish: ClaimRequest) -> SyncAnswer | None:
        """None where there are more: then nothing is claimed."""
        answer = await self._fetch(load("claim_few"), _of_claim(wish))
        first = answer[0]
        if first["many"]:
            self._many_until = self._monotonic_seconds() + _MANY_SECONDS
            return None
        claims = answer if first["job_id"] is not None else ()
        full = len(claims) == wish.limit
        self._little_left = not full
        self._cursor.finish(BEGINNING, first, claims, full=full)
        return SyncAnswer(
            at=first["at"],
            claimed=tuple([rows.claimed_job(row, wish.owner, wish.worker_id) for row in claims]),
            next_due_at=None if full else first["next_due_at"],
        )

    async def _fetch(self, statement: Statement, values: dict[str, Any]) -> Sequence[Row]:
        """Running it again after a conflict is safe: nothing of it happened, and the fence stands."""
        for _ in range(_TRIES - 1):
            try:
                return await self._database.fetch(statement, **values)
            except LockConflict:
                continue
        return await self._database.fetch(statement, **values)


def _statement(batch: SyncBatch, start: Start) -> tuple[Statement, dict[str, Any]]:
    """The smallest one that does all that is due."""
    ending = {completion.lease_id for completion in batch.completions}
    # The end of a claim says all that its start could say.
    starts = [one for one in batch.starts if one.lease_id not in ending]
    wish = batch.claim
    match bool(batch.completions), bool(starts), wish:
        case False, False, None:
            return _NOW, {}
        case True, False, None:
            return load("complete"), arrays.of_completions(batch.completions)
        case False, True, None:
            return load("start"), arrays.of_starts(starts)
        case False, False, ClaimRequest():
            return load("claim"), {**_of_claim(wish), **start.parameters}
        case _:
            return load("batch_sync"), {
                **arrays.of_completions(batch.completions),
                **arrays.of_starts(starts),
                **(_NO_CLAIM if wish is None else _of_claim(wish)),
                **start.parameters,
            }


def _of_claim(wish: ClaimRequest) -> dict[str, Any]:
    return {
        "owner": wish.owner,
        "worker_id": wish.worker_id,
        "queues": list(wish.queues),
        "types": list(wish.types),
        "limit": wish.limit,
        "start_count": wish.start_count,
    }
