"""Several worker processes under one command: started together, replaced when they die, drained together."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.randomness import SystemRandomness
from schedora.application.backoff import Backoff
from schedora.application.log import Logger
from schedora.entrypoints.signals import stop_signals

log = Logger("schedora.supervisor")

FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=30)
LIVED_WELL = timedelta(seconds=60)
"""A process that lived this long died of something else than its start."""
KILL_AFTER_SECONDS = 15
"""Beyond the shutdown timeout, for what a worker does after it."""


def supervise(
    *,
    target: str | None,
    queues: Sequence[str],
    concurrency: int | None,
    processes: int,
    worker_id: str,
    data_dir: Path | None,
    stop_seconds: float,
) -> int:
    """Runs ``processes`` workers until a signal comes; answers the exit status."""
    commands = [
        worker_command(
            target=target, queues=queues, concurrency=concurrency, worker_id=f"{worker_id}-{number}",
            data_dir=data_dir,
        )
        for number in range(1, processes + 1)
    ]  # fmt: skip
    return asyncio.run(_supervise(commands, stop_seconds + KILL_AFTER_SECONDS))


def worker_command(
    *,
    target: str | None,
    queues: Sequence[str],
    concurrency: int | None,
    worker_id: str,
    data_dir: Path | None,
) -> list[str]:
    """The command line of one worker process."""
    command = [sys.executable, "-m", "schedora.entrypoints.cli.main", "worker", "--worker-id", worker_id]
    if target is not None:
        command += ["--app", target]
    if queues:
        command += ["--queues", ",".join(queues)]
    if concurrency is not None:
        command += ["--concurrency", str(concurrency)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    return command


async def _supervise(commands: Sequence[Sequence[str]], stop_seconds: float) -> int:
    stopping = asyncio.Event()
    children: set[asyncio.subprocess.Process] = set()

    def kill_all() -> None:
        for child in children:
            child.kill()

    with stop_signals(stopping, at_once=kill_all):
        statuses = await asyncio.gather(
            *(_keep_alive(command, children, stopping, stop_seconds) for command in commands)
        )
    return max(statuses)


async def _keep_alive(
    command: Sequence[str],
    children: set[asyncio.subprocess.Process],
    stopping: asyncio.Event,
    stop_seconds: float,
) -> int:
    clock = SystemClock()
    backoff = Backoff(SystemRandomness(clock).unit, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    while True:
        started = clock.monotonic()
        # A session of its own: Ctrl-C in the terminal reaches this process, which passes it on once.
        child = await asyncio.create_subprocess_exec(*command, start_new_session=True)
        children.add(child)
        ended, asked = asyncio.create_task(child.wait()), asyncio.create_task(stopping.wait())
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stopping.is_set():
            return await _stop(child, ended, stop_seconds)
        children.discard(child)
        log.error("worker process ended; starting another", pid=child.pid, status=child.returncode)
        if clock.monotonic() - started > LIVED_WELL:
            backoff.reset()
        if await clock.wait(stopping, backoff.next()):
            return 0


async def _stop(child: asyncio.subprocess.Process, ended: "asyncio.Task[int]", stop_seconds: float) -> int:
    if child.returncode is None:
        child.terminate()
    done, _ = await asyncio.wait([ended], timeout=stop_seconds)
    if not done:
        log.error("worker process does not stop; killing it", pid=child.pid)
        child.kill()
    return 0 if await ended == 0 else 1
