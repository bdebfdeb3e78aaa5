"""Schedora as its users have it: the SDK to submit, `schedora worker` to run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import uvloop
from attrs import frozen
from benchmarks.systems import driving
from benchmarks.systems.schedora.app import COUNTERS, SLOT, app, noop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from schedora import JobDefinition

COMMAND = (sys.executable, "-m", "schedora.entrypoints.cli.main")
PRIORITIES = {"lower": 1, None: 5, "higher": 9}


@frozen
class Submitter:
    """The application, open."""

    job: JobDefinition[[int, int, str], None]

    async def one(self, payload: driving.Payload) -> None:
        await self.job.submit(payload["n"], payload["at"], payload["pad"])

    async def batch(self, payloads: Sequence[driving.Payload]) -> None:
        await app.submit_many([self.job.prepare(p["n"], p["at"], p["pad"]) for p in payloads])


@asynccontextmanager
async def submitting(url: str, terms: driving.Terms) -> AsyncIterator[Submitter]:
    os.environ["DATABASE_URL"] = url
    due = None if terms.delay is None else datetime.now(UTC) + timedelta(seconds=terms.delay)
    async with app:
        yield Submitter(noop.with_options(scheduled_at=due, priority=PRIORITIES[terms.priority]))


def setup(url: str) -> None:
    """Make the tables."""
    subprocess.run(
        [*COMMAND, "migrate"], env={**os.environ, "DATABASE_URL": url}, stdout=subprocess.DEVNULL, check=True
    )


def work(worker: driving.Worker) -> None:
    """Run `schedora worker`, and pass on the wish to stop."""
    more = () if worker.concurrency is None else ("--concurrency", str(worker.concurrency))
    process = subprocess.Popen(
        [*COMMAND, "worker", "--app", "benchmarks.systems.schedora.app:app", *more],
        env={
            **os.environ,
            "DATABASE_URL": worker.url,
            COUNTERS: str(worker.counters),
            SLOT: str(worker.slot),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    if process.stderr is None:
        raise RuntimeError("the worker's standard error is not at hand")
    for line in process.stderr:
        sys.stderr.write(line)
        if json.loads(line)["message"] == "worker registered":
            driving.ready(process.pid)
    if status := process.wait():
        sys.exit(status)


if __name__ == "__main__":
    driving.drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
