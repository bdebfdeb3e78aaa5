"""A client that means well, beside an attack: it submits a job and looks at it, again and again, each time anew connected."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING

import httpx
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.queues import Queue
    from multiprocessing.synchronize import Event

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 30.0


@define
class Served:
    """How it fared."""

    seconds: list[float] = field(factory=list)
    """Of each submission that was answered with 201."""
    otherwise: Counter[str] = field(factory=Counter)
    """Of what came instead: statuses, errors."""
    lost: int = 0
    """Jobs that were accepted and are not there."""

    def percentile_ms(self, share: float) -> float:
        """So many answers came within it."""
        return 1_000 * ranked(self.seconds, share)


def ranked(values: Sequence[float], share: float) -> float:
    """The value of which so many are not above; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0


async def be_served(url: str, until: Event) -> Served:
    """Go on until told to stop, then look for all that was accepted."""
    served = Served()
    accepted: list[str] = []
    while not until.is_set():
        began = time.perf_counter()
        try:
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
                answer = await http.post(
                    "/api/v1/jobs", json={"type": "healthy", "idempotency_key": uuid.uuid4().hex}
                )
        except httpx.HTTPError as error:
            served.otherwise[type(error).__name__] += 1
        else:
            if answer.status_code == httpx.codes.CREATED:
                served.seconds.append(time.perf_counter() - began)
                accepted.append(answer.json()["data"]["job_id"])
            else:
                served.otherwise[str(answer.status_code)] += 1
        await asyncio.sleep(PAUSE_SECONDS)
    async with httpx.AsyncClient(base_url=url, timeout=10 * PATIENCE_SECONDS) as http:
        for job_id in accepted:
            served.lost += not await _is_there(http, job_id)
    return served


async def _is_there(http: httpx.AsyncClient, job_id: str) -> bool:
    """As soon as the API answers: it may still work on what was asked in the attack."""
    while True:
        answer = await http.get(f"/api/v1/jobs/{job_id}")
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return answer.status_code == httpx.codes.OK
        await asyncio.sleep(int(answer.headers["Retry-After"]))


@contextmanager
def beside(url: str) -> Iterator[Callable[[], Served]]:
    """One in a process of its own, for what attacks in this one would hold it up; answers, once, how it fared so far."""
    context = get_context("spawn")
    until, said = context.Event(), context.Queue()
    process = context.Process(target=_run, args=(url, until, said))
    process.start()

    def fared() -> Served:
        until.set()
        served: Served = said.get(timeout=20 * PATIENCE_SECONDS)
        return served

    try:
        yield fared
    finally:
        until.set()
        process.join(timeout=PATIENCE_SECONDS)
        process.kill()


def _run(url: str, until: Event, said: Queue[Served]) -> None:
    said.put(asyncio.run(be_served(url, until)))
