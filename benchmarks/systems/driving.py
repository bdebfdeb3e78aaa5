"""The command line of a driver, and the timing that is the same for every system.

A driver says how its system is set up, submitted to and worked; what is timed, and from where to where, is said
here once. Standard library only: drivers import it from environments of their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol, TypeAlias, TypedDict

from benchmarks.systems.counters import Counters

CANNOT = 3
"""Exit status of a driver whose system has no such thing; one line on stderr says what."""

WARM_UP = 20
"""Jobs submitted before the clock runs: connections, statements and imports are there then."""


Done: TypeAlias = Callable[[int], None]


class Payload(TypedDict):
    """What a job carries, whose type or task is "noop": about 100 bytes of JSON."""

    n: int
    at: int
    """time.monotonic_ns() just before the submission, or 0 where latency is not asked."""
    pad: str


@dataclass(frozen=True)
class Terms:
    """How jobs are to be submitted."""

    concurrency: int
    """Submissions under way at once."""
    delay: float | None
    """Seconds until a job may start."""
    priority: Literal["lower", "higher"] | None
    """Than that of jobs which say nothing."""


@dataclass(frozen=True)
class Worker:
    """What a worker is told."""

    url: str
    counters: Path
    slot: int
    concurrency: int | None
    """Jobs at once, or in a batch, where the system has such a setting; None for its best."""

    def counting(self) -> Done:
        """Open its slot; what this returns is called by the handler with the payload's "at"."""
        return Counters(self.counters, self.slot).done


class Submitter(Protocol):
    """A connected client. Each call returns once what it submits is stored as durably as the system ever stores it."""

    async def one(self, payload: Payload) -> None: ...
    async def batch(self, payloads: Sequence[Payload]) -> None: ...


class BlockingSubmitter(Protocol):
    """The same for a system whose clients block; called from several threads at once."""

    def one(self, payload: Payload) -> None: ...
    def batch(self, payloads: Sequence[Payload]) -> None: ...


Submitting: TypeAlias = Callable[[str, Terms], AbstractAsyncContextManager[Submitter]]
SubmittingBlocking: TypeAlias = Callable[[str, Terms], AbstractContextManager[BlockingSubmitter]]


class Unsupported(Exception):
    """The system has no such thing, by its documentation."""


def drive(
    *,
    setup: Callable[[str], Coroutine[Any, Any, None] | None],
    work: Callable[[Worker], Coroutine[Any, Any, None] | None],
    submitting: Submitting | None = None,
    submitting_blocking: SubmittingBlocking | None = None,
    loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> NoReturn:
    """Do what the command line asks.

    `setup` makes the tables and queues at a URL, and empties them. `work` runs one worker until SIGTERM, and calls
    ready() once it can take jobs. Systems whose clients block give `submitting_blocking`, the others `submitting`.
    `loop` makes the event loop for whatever is a coroutine; asyncio's own if there is none.
    """
    arguments = _arguments()

    def run(what: Coroutine[Any, Any, None] | None) -> None:
        if what is not None:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(what)

    try:
        match arguments.verb:
            case "setup":
                run(setup(arguments.url))
            case "work":
                run(work(Worker(arguments.url, arguments.counters, arguments.slot, arguments.concurrency)))
            case _:
                submit = _submit if arguments.verb == "submit" else _trickle
                submit_blocking = _submit_blocking if arguments.verb == "submit" else _trickle_blocking
                if submitting is not None:
                    run(submit(submitting, arguments))
                elif submitting_blocking is not None:
                    submit_blocking(submitting_blocking, arguments)
    except Unsupported as missing:
        print(missing, file=sys.stderr)
        sys.exit(CANNOT)
    sys.exit(0)


def ready(pid: int | None = None) -> None:
    """Tell the harness that this worker can take jobs, and which process runs them if it is not this one."""
    print("ready", pid or os.getpid(), file=sys.__stdout__, flush=True)  # sys.stdout may be a log by now


async def terminated() -> None:
    """Wait for SIGTERM, for a system that leaves signals to its user."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()


def _arguments() -> Namespace:
    parser = ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    setup = verbs.add_parser("setup")
    submit = verbs.add_parser("submit")
    trickle = verbs.add_parser("trickle")
    work = verbs.add_parser("work")
    for verb in (setup, submit, trickle, work):
        verb.add_argument("--url", required=True)
    for verb in (submit, trickle):
        verb.add_argument("--count", type=int, required=True)
        verb.add_argument("--delay", type=float, help="seconds")
        verb.add_argument(
            "--priority", choices=["lower", "higher"], help="than that of jobs that say nothing"
        )
    submit.add_argument("--mode", choices=["one", "concurrent", "batch"], required=True)
    submit.add_argument("--concurrency", type=int, default=50)
    submit.add_argument("--batch", type=int, default=1_000)
    trickle.add_argument("--rate", type=float, default=50, help="a second")
    work.add_argument("--counters", type=Path, required=True)
    work.add_argument("--slot", type=int, required=True)
    work.add_argument("--concurrency", type=int)
    return parser.parse_args()


def _terms(arguments: Namespace) -> Terms:
    at_once = arguments.concurrency if getattr(arguments, "mode", "one") == "concurrent" else 1
    return Terms(at_once, arguments.delay, arguments.priority)


def _payload(number: int, at: int = 0) -> Payload:
    return {"n": number, "at": at, "pad": "x" * 70}


def _warm_up(arguments: Namespace) -> range:
    """The jobs that are submitted before the clock runs."""
    return range(arguments.concurrency if arguments.mode == "concurrent" else WARM_UP)


def _batches(arguments: Namespace, numbers: range) -> Iterator[list[Payload]]:
    for first in range(0, len(numbers), arguments.batch):
        yield [_payload(number) for number in numbers[first : first + arguments.batch]]


def _report(jobs: int, seconds: float, *, warm_up: int = 0) -> None:
    print(json.dumps({"jobs": jobs, "seconds": seconds, "stored": jobs + warm_up}), flush=True)


async def _submit(submitting: Submitting, arguments: Namespace) -> None:
    async def some(numbers: range) -> None:
        match arguments.mode:
            case "one":
                await one_by_one(iter(numbers))
            case "batch":
                for payloads in _batches(arguments, numbers):
                    await submitter.batch(payloads)
            case "concurrent":
                shared = iter(numbers)
                async with asyncio.TaskGroup() as group:
                    for _ in range(arguments.concurrency):
                        group.create_task(one_by_one(shared))

    async def one_by_one(numbers: Iterator[int]) -> None:
        for number in numbers:
            await submitter.one(_payload(number))

    warm_up = _warm_up(arguments)
    async with submitting(arguments.url, _terms(arguments)) as submitter:
        await some(warm_up)
        started = time.perf_counter()
        await some(range(arguments.count))
        seconds = time.perf_counter() - started
    _report(arguments.count, seconds, warm_up=len(warm_up))


def _submit_blocking(submitting: SubmittingBlocking, arguments: Namespace) -> None:
    def some(numbers: range) -> None:
        match arguments.mode:
            case "one":
                one_by_one(iter(numbers))
            case "batch":
                for payloads in _batches(arguments, numbers):
                    submitter.batch(payloads)
            case "concurrent":
                shared = iter(numbers)  # its next() is one step to other threads
                for each in [threads.submit(one_by_one, shared) for _ in range(arguments.concurrency)]:
                    each.result()

    def one_by_one(numbers: Iterator[int]) -> None:
        for number in numbers:
            submitter.one(_payload(number))

    warm_up = _warm_up(arguments)
    with (
        submitting(arguments.url, _terms(arguments)) as submitter,
        ThreadPoolExecutor(arguments.concurrency) as threads,
    ):
        some(warm_up)
        started = time.perf_counter()
        some(range(arguments.count))
        seconds = time.perf_counter() - started
    _report(arguments.count, seconds, warm_up=len(warm_up))


async def _trickle(submitting: Submitting, arguments: Namespace) -> None:
    async with submitting(arguments.url, _terms(arguments)) as submitter:
        for number in range(WARM_UP):
            await submitter.one(_payload(number))
        started = time.perf_counter()
        for number in range(arguments.count):
            await asyncio.sleep(max(0.0, started + number / arguments.rate - time.perf_counter()))
            await submitter.one(_payload(number, time.monotonic_ns()))
        seconds = time.perf_counter() - started
    _report(arguments.count, seconds, warm_up=WARM_UP)


def _trickle_blocking(submitting: SubmittingBlocking, arguments: Namespace) -> None:
    with submitting(arguments.url, _terms(arguments)) as submitter:
        for number in range(WARM_UP):
            submitter.one(_payload(number))
        started = time.perf_counter()
        for number in range(arguments.count):
            time.sleep(max(0.0, started + number / arguments.rate - time.perf_counter()))
            submitter.one(_payload(number, time.monotonic_ns()))
        seconds = time.perf_counter() - started
    _report(arguments.count, seconds, warm_up=WARM_UP)
