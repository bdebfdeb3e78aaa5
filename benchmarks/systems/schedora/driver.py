"""Schedora as its users have it: the SDK to submit, `schedora worker` to run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import uvloop
from attrs import frozen
from benchmarks.systems import driving
from benchmarks.systems.schedora.app import COUNTERS, SLOT, app, noop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from schedora import JobDefinition
    from schedora.entrypoints.sdk.workflow import WorkflowStep

COMMAND = (sys.executable, "-m", "schedora.entrypoints.cli.main")
PAD = "x" * 70
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
    """Run `schedora worker`."""
    more = () if worker.concurrency is None else ("--concurrency", str(worker.concurrency))
    os.environ |= {COUNTERS: str(worker.counters), SLOT: str(worker.slot)}

    def hear(line: str, pid: int) -> None:
        if line.startswith("{") and json.loads(line)["message"] == "worker registered":
            driving.ready(pid)

    _run("worker", "--app", "benchmarks.systems.schedora.app:app", *more, url=worker.url, hear=hear)


def reap(url: str) -> None:
    """Run `schedora reaper`."""
    _run("reaper", url=url, hear=lambda _line, _pid: None)


def serve(url: str) -> None:
    """Run `schedora api`, and tell where jobs are posted."""

    def hear(line: str, _pid: int) -> None:
        if found := re.search(r"listens on (http://\S+)", line):
            print(f"listening {found[1]}/api/v1/jobs", flush=True)

    _run("api", "--port", "0", url=url, hear=hear)


def _run(*command: str, url: str, hear: Callable[[str, int], None]) -> None:
    """Run a command of Schedora's, listen to what it says, and pass on the wish to stop."""
    process = subprocess.Popen(
        [*COMMAND, *command],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    for line in process.stdout or ():
        sys.stderr.write(line)
        hear(line, process.pid)
    if status := process.wait():
        sys.exit(status)


async def flow(url: str, *, shape: str, count: int, size: int) -> None:
    """Submit workflows of `size` jobs each."""
    os.environ["DATABASE_URL"] = url
    began = time.perf_counter()
    async with app:
        for number in range(count):
            workflow = app.workflow(f"{shape}-{number}")
            steps = [noop.prepare(n, 0, PAD) for n in range(size)]
            match shape:
                case "chain":
                    after: list[WorkflowStep] = []
                    for step in steps:
                        after = [workflow.add(step, after=after)]
                case "fan-out":
                    first = workflow.add(steps[0])
                    for step in steps[1:]:
                        workflow.add(step, after=first)
                case "fan-in":
                    workflow.add(steps[0], after=[workflow.add(step) for step in steps[1:]])
                case _:
                    raise ValueError(shape)
            await workflow.submit()
    seconds = time.perf_counter() - began
    print(json.dumps({"jobs": count * size, "seconds": seconds, "stored": count * size}))


def main(*, setup: Callable[[str], Coroutine[Any, Any, None] | None] = setup) -> None:
    """Do what the protocol asks, and what only Schedora has."""
    if sys.argv[1] not in {"serve", "reap", "flow"}:
        driving.drive(setup=setup, submitting=submitting, work=work, loop=uvloop.new_event_loop)
    parser = ArgumentParser()
    parser.add_argument("verb")
    parser.add_argument("--url", required=True)
    parser.add_argument("--shape")
    parser.add_argument("--count", type=int)
    parser.add_argument("--size", type=int)
    arguments = parser.parse_args()
    match arguments.verb:
        case "serve":
            serve(arguments.url)
        case "reap":
            reap(arguments.url)
        case "flow":
            uvloop.run(flow(arguments.url, shape=arguments.shape, count=arguments.count, size=arguments.size))


if __name__ == "__main__":
    main()
