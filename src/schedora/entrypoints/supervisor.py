"""Worker processes under one command: started together, replaced when they die, drained together.

Whoever started a process is told by the system how it ended. What is to be known of a worker's death is kept for the
jobs that it ran, and the store learns of it at once.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from schedora.adapters.system import crash_recorder, parent_death_pipe
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.system.crash_recorder import KeptBox
from schedora.adapters.system.parent_death_pipe import ParentDeathPipe
from schedora.adapters.system.randomness import SystemRandomness
from schedora.adapters.system.watched_process import ProcessEnd, WatchedProcess
from schedora.application.backoff import Backoff
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.domain.ids import IncarnationId
from schedora.domain.worker_death import WorkerDeath
from schedora.entrypoints.signals import stop_signals

log = Logger("schedora.supervisor")

FIRST_PAUSE = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(seconds=30)
LIVED_WELL = timedelta(seconds=60)
"""A process that lived this long died of something else than its start."""
KILL_AFTER_SECONDS = 15
"""Beyond the shutdown timeout, for what a worker does after it."""
LAST_NOTES_SECONDS = 5
"""How long the store may take at the end to hear of those that died."""

LOOK_SECONDS = 1.0
HUNG_SECONDS_MIN = 30.0
"""A machine that is busy makes nobody hang."""
ABORT_SECONDS = 5.0
"""How long one that hangs may take to write where."""

NoteDeath = Callable[[IncarnationId, WorkerDeath], Awaitable[object]]
"""Tells the store. Raises ``StoreUnavailable``."""


def supervise(  # noqa: PLR0913 - the options of the command
    *,
    target: str | None,
    queues: Sequence[str],
    concurrency: int | None,
    processes: int,
    worker_id: str,
    max_jobs_per_child: int | None,
    max_memory_mb_per_child: int | None,
    data_dir: Path | None,
    stop_seconds: float,
    hung_seconds: float,
    note_death: NoteDeath,
) -> int:
    """Runs ``processes`` workers until a signal comes; answers the exit status. One that has run no Python for
    ``hung_seconds`` is ended.
    """
    names = [worker_id] if processes == 1 else [f"{worker_id}-{n}" for n in range(1, processes + 1)]
    commands = [
        worker_command(
            target=target,
            queues=queues,
            concurrency=concurrency,
            worker_id=name,
            max_jobs_per_child=max_jobs_per_child,
            max_memory_mb_per_child=max_memory_mb_per_child,
            data_dir=data_dir,
        )
        for name in names
    ]
    spans = _Spans(stop=stop_seconds + KILL_AFTER_SECONDS, hung=max(hung_seconds, HUNG_SECONDS_MIN))
    return asyncio.run(_supervise(commands, spans, note_death))


def worker_command(
    *,
    target: str | None,
    queues: Sequence[str],
    concurrency: int | None,
    worker_id: str,
    max_jobs_per_child: int | None,
    max_memory_mb_per_child: int | None,
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
    if max_jobs_per_child is not None:
        command += ["--max-jobs-per-child", str(max_jobs_per_child)]
    if max_memory_mb_per_child is not None:
        command += ["--max-memory-mb-per-child", str(max_memory_mb_per_child)]
    if data_dir is not None:
        command += ["--data-dir", str(data_dir)]
    return command


@frozen(kw_only=True)
class _Spans:
    """In seconds."""

    stop: float
    """What one may take to stop before it is killed."""
    hung: float
    """For how long one may run no Python."""


async def _supervise(commands: Sequence[Sequence[str]], spans: _Spans, note_death: NoteDeath) -> int:
    stopping = asyncio.Event()
    witness = _Witness(note_death)
    alive: set[_Child] = set()

    def kill_all() -> None:
        for child in alive:
            child.process.send(signal.SIGKILL)

    with stop_signals(stopping, at_once=kill_all):
        statuses = await asyncio.gather(
            *(_keep_alive(command, alive, stopping, spans, witness) for command in commands)
        )
        await witness.finish()
    return max(statuses)


class _Child:
    """One worker process, with what it leaves, and with what it hangs on. Raises ``OSError`` where the system has no room for it."""

    def __init__(self, command: Sequence[str]) -> None:
        self._box = KeptBox()
        self._parent_death_pipe = ParentDeathPipe()
        descriptors = (self._box.descriptor, self._parent_death_pipe.other_end)
        named = dict(
            zip((crash_recorder.VARIABLE, parent_death_pipe.VARIABLE), map(str, descriptors), strict=True)
        )
        try:
            self.process = WatchedProcess(
                command, descriptors=descriptors, environment={**os.environ, **named}
            )
        except OSError:
            self.close()
            raise
        finally:
            self._parent_death_pipe.handed_over()
        self._hung_for: float | None = None

    def death(self, end: ProcessEnd) -> tuple[IncarnationId, WorkerDeath] | None:
        """Whose it was; None when it ended before it was anybody."""
        told = self._box.read(end)
        if told is None or self._hung_for is None:
            return told
        how = f"ran no Python for {self._hung_for:.0f} s and was ended{end.memory}"
        return told[0], evolve(told[1], how=how)

    async def end_if_hung(self, seconds: float) -> None:
        """Ends one whose interpreter has not run for so long, for a handler holds its lock: it is deaf to signals and
        sends no sign of life. Only time in which this process itself ran counts.
        """
        began = touched = self._box.touched_ns
        silent = 0.0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            before, touched = touched, self._box.touched_ns
            starts = touched == began  # what an app takes to be imported is its own affair
            silent = 0.0 if starts or touched != before or self.process.is_stopped else silent + LOOK_SECONDS
            if silent >= seconds:
                break
        self._hung_for = silent
        log.error("worker process runs no Python any more; ending it", pid=self.process.pid, seconds=silent)
        self.process.send(
            signal.SIGABRT
        )  # which the fault handler answers, whoever has the interpreter's lock
        await asyncio.wait([self.process.ended], timeout=ABORT_SECONDS)
        self.process.send(signal.SIGKILL)

    def stack(self) -> str | None:
        return self._box.stack()

    def close(self) -> None:
        self._parent_death_pipe.cut()
        self._box.close()


class _Witness:
    """Tells the store of deaths, again and again until it has heard."""

    def __init__(self, note_death: NoteDeath) -> None:
        self._note_death = note_death
        self._clock = SystemClock()
        self._given_up = asyncio.Event()
        self._notes: set[asyncio.Task[None]] = set()

    def note(self, incarnation: IncarnationId, death: WorkerDeath) -> None:
        note = asyncio.create_task(self._note(incarnation, death))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)

    async def finish(self) -> None:
        if self._notes:
            await asyncio.wait(self._notes, timeout=LAST_NOTES_SECONDS)
        self._given_up.set()
        await asyncio.gather(*self._notes)

    async def _note(self, incarnation: IncarnationId, death: WorkerDeath) -> None:
        backoff = _backoff(self._clock)
        while True:
            try:
                await self._note_death(incarnation, death)
            except StoreUnavailable as error:
                log.warning("the store can't be told how a worker ended", error=str(error))
            except Exception:
                log.exception("how a worker ended is not noted")
                return
            else:
                return
            if await self._clock.wait(self._given_up, backoff.next()):
                return


def _backoff(clock: SystemClock) -> Backoff:
    return Backoff(SystemRandomness(clock).unit, first=FIRST_PAUSE, longest=LONGEST_PAUSE)


async def _keep_alive(
    command: Sequence[str],
    alive: set[_Child],
    stopping: asyncio.Event,
    spans: _Spans,
    witness: _Witness,
) -> int:
    clock = SystemClock()
    backoff = _backoff(clock)
    while True:
        started = clock.monotonic()
        try:
            child = _Child(command)
        except OSError as error:  # for the others go on, and this one may be started later
            log.error("no worker process can be started; trying again", error=str(error))  # noqa: TRY400 - one line says all
        else:
            alive.add(child)
            try:
                status = await _watch(child, stopping, spans, witness)
            finally:
                alive.discard(child)
                child.close()
            if stopping.is_set():
                return status
            if clock.monotonic() - started > LIVED_WELL:
                backoff.reset()
        if await clock.wait(stopping, backoff.next()):
            return 0


async def _watch(child: _Child, stopping: asyncio.Event, spans: _Spans, witness: _Witness) -> int:
    """Until it has ended, by itself or since that was asked for."""
    ended, asked = child.process.ended, asyncio.create_task(stopping.wait())
    hanging = asyncio.create_task(child.end_if_hung(spans.hung))
    either: set[asyncio.Future[Any]] = {ended, asked}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if stopping.is_set():
        await _stop(child.process, spans.stop)
    end = await ended
    hanging.cancel()
    death = child.death(end)
    if not stopping.is_set():
        log.error(
            "worker process ended; starting another",
            pid=child.process.pid,
            status=end.returncode,
            how=end.how if death is None else death[1].how,
            **({} if (stack := child.stack()) is None else {"stack": stack}),
        )
    if death is not None:
        witness.note(*death)
    # Until it is somebody it does not listen for signals, and ends by the first: as it was asked to.
    unborn = stopping.is_set() and death is None and end.returncode == -signal.SIGTERM
    return 0 if end.returncode == 0 or unborn else 1


async def _stop(process: WatchedProcess, stop_seconds: float) -> None:
    process.send(signal.SIGTERM)
    done, _ = await asyncio.wait([process.ended], timeout=stop_seconds)
    if not done:
        log.error("worker process does not stop; killing it", pid=process.pid)
        process.send(signal.SIGKILL)
