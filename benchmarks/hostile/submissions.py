"""A thousand submissions at once, to several APIs: each answered, none lost, none made twice."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import psycopg
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_SECONDS = 60.0
CONNECTING_SECONDS = 5.0
"""Less than the API keeps a connection on which nothing is asked."""


@frozen(kw_only=True)
class AtOnce:
    """What came of them."""

    answers: Counter[str]
    named: int
    """Jobs that the answers name, each counted once."""
    stored: int
    """Jobs of the queue that the database has."""
    seconds: float
    """Until the last was answered."""


async def submit_at_once(urls: Sequence[str], database_url: str, keys: Sequence[str]) -> AtOnce:
    """One job a key, all at the same time, each on a connection of its own, to the APIs in turn."""
    queue = uuid.uuid4().hex
    answers: Counter[str] = Counter()
    named: set[str] = set()
    start = asyncio.Event()

    async def submit(url: str, key: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            await http.get("/health/live")  # connected, before it counts
            await start.wait()
            try:
                answer = await http.post(
                    "/api/v1/jobs", json={"type": "at-once", "queue": queue, "idempotency_key": key}
                )
            except httpx.HTTPError as error:
                answers[type(error).__name__] += 1
                return
            answers[str(answer.status_code)] += 1
            if answer.status_code in {httpx.codes.CREATED, httpx.codes.CONFLICT}:
                named.add(answer.json()["data"]["job_id"])

    waiting = [asyncio.create_task(submit(urls[number % len(urls)], key)) for number, key in enumerate(keys)]
    await asyncio.sleep(CONNECTING_SECONDS)
    start.set()
    began = time.perf_counter()
    await asyncio.gather(*waiting)
    seconds = time.perf_counter() - began
    return AtOnce(answers=answers, named=len(named), stored=_stored(database_url, queue), seconds=seconds)


def _stored(database_url: str, queue: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM jobs WHERE queue = %s", [queue]).fetchone()
    return 0 if row is None else int(row[0])
