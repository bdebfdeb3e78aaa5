"""Child processes that run handlers: started when needed, kept for the next job, really killed.

A child is this Python with ``command`` behind it. It takes calls on its standard input and answers on its
standard output, see ``child_protocol.py``; nothing is ever unpickled.
"""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import psutil

from schedora.application.log import Logger
from schedora.application.ports.processes import ProcessCall, ProcessLink
from schedora.domain.outcome import Failed, Outcome

log = Logger("schedora.processes")

LINE_BYTES_MAX = 512 * 1024 * 1024
PROCESS_DIED = "process_died"
LAST_BREATH_SECONDS = 5
"""How long one that has hung up may take to end by itself, and so to tell why."""


class ChildProcesses:
    """At most as many children as calls at once; up to ``idle_max`` wait for the next call."""

    def __init__(
        self, command: Sequence[str], *, idle_max: int, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment`` is what the children's has beside this process's own."""
        self._command = tuple(command)
        self._environment = {**os.environ, **(environment or {})}
        self._idle_max = idle_max
        self._idle: deque[Process] = deque()
        self._busy: set[Process] = set()

    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        child = await self._child()
        self._busy.add(child)
        finished = False
        try:
            outcome = await _converse(child, call, link)
            finished = child.returncode is None and not isinstance(outcome, _Died)
            if isinstance(outcome, _Died):
                return Failed(kind=PROCESS_DIED, message=await _how_it_died(child))
            return outcome
        finally:
            self._busy.discard(child)
            if finished and len(self._idle) < self._idle_max:
                self._idle.append(child)
            else:
                await _kill(child)

    async def close(self) -> None:
        while self._idle:
            await _kill(self._idle.pop())
        for child in list(self._busy):
            await _kill(child)

    async def _child(self) -> Process:
        while self._idle:
            child = self._idle.pop()
            if _lives(child):
                return child
            await _kill(child)
        # A session of its own: Ctrl-C in the terminal is for the worker, which tells its children.
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
            env=self._environment,
        )


def _lives(child: Process) -> bool:
    """By the word of the system: the event loop learns of an end only when it comes round to it."""
    try:
        return child.returncode is None and psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class _Died:
    """The child went away without an outcome."""


async def _converse(child: Process, call: ProcessCall, link: ProcessLink) -> Outcome | _Died:
    from schedora.adapters.system.child_protocol import (  # noqa: PLC0415 - most workers have no such handler
        Ended,
        LineLeft,
        Progress,
        SpanLeft,
        Written,
        decode_said,
        encode_call,
    )

    if child.stdin is None or child.stdout is None:
        raise RuntimeError("a child was started without pipes")
    try:
        child.stdin.write(encode_call(call))
        await child.stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        return _Died()
    while line := await child.stdout.readline():
        match decode_said(line):
            case Progress(document=document):
                link.report(document)
            case LineLeft(line=text):
                link.leave_line(text)
            case SpanLeft(span=text):
                link.leave_span(text)
            case Written(completion=completion, released=released):
                link.written(completion, released)
            case Ended(outcome=outcome):
                return outcome
    return _Died()


async def _how_it_died(child: Process) -> str:
    try:
        async with asyncio.timeout(LAST_BREATH_SECONDS):
            code = await child.wait()
    except TimeoutError:
        return "the process that ran the handler closed its line to the worker and was killed"
    if code >= 0:
        return f"the process that ran the handler exited with status {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"the process that ran the handler was ended by signal {name}"


async def _kill(child: Process) -> None:
    """Ends the child and what it started; returns when it is gone, even while being cancelled."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Not in any case: it would look for the end before the event loop does, and keep the status.
            with suppress(ProcessLookupError):
                child.kill()
    await asyncio.shield(child.wait())
