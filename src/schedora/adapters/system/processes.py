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
from contextlib import ExitStack, suppress

import psutil

from schedora.adapters.system import crash_recorder, parent_death_pipe
from schedora.adapters.system.crash_recorder import KeptBox
from schedora.adapters.system.parent_death_pipe import ParentDeathPipe
from schedora.adapters.system.vitals import peak_bytes_of
from schedora.adapters.system.watched_process import signal_name
from schedora.application.log import Logger
from schedora.application.ports.processes import ProcessCall, ProcessLink
from schedora.domain.outcome import Failed, Outcome
from schedora.domain.worker_death import in_bytes

log = Logger("schedora.processes")

LINE_BYTES_MAX = 512 * 1024 * 1024
PROCESS_DIED = "process_died"
SAMPLE_SECONDS = 0.25
LAST_BREATH_SECONDS = 5
"""How long one that has hung up may take to end by itself, and so to tell why."""


class ChildProcesses:
    """At most as many children as calls at once; up to ``idle_max`` wait for the next call."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        idle_max: int,
        jobs_max: int | None = None,
        memory_max_bytes: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``environment`` is what the children's has beside this process's own. A child that has run ``jobs_max`` jobs,
        or has more memory resident than that after one, is not given another.
        """
        self._command = tuple(command)
        self._environment = {**os.environ, **(environment or {})}
        self._idle_max = idle_max
        self._jobs_max = jobs_max
        self._memory_max_bytes = memory_max_bytes
        self._idle: deque[_Child] = deque()
        self._busy: set[_Child] = set()

    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        child = await self._child()
        self._busy.add(child)
        finished = False
        sampling = asyncio.create_task(child.keep_sampling())
        try:
            outcome = await _converse(child.process, call, link)
            finished = child.process.returncode is None and not isinstance(outcome, _Died)
            child.jobs += 1
            if isinstance(outcome, _Died):
                how = await _how_it_died(child.process)
                return Failed(kind=PROCESS_DIED, message=how + child.peak, traceback=child.stack())
            return outcome
        finally:
            sampling.cancel()
            self._busy.discard(child)
            if finished and len(self._idle) < self._idle_max and not self._needs_restart(child):
                self._idle.append(child)
            else:
                await child.bury()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().bury()
        for child in list(self._busy):
            await child.kill()

    async def _child(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()
            if child.lives():
                return child
            await child.bury()
        return await _Child.start(self._command, self._environment)

    def _needs_restart(self, child: "_Child") -> bool:
        if self._jobs_max is not None and child.jobs >= self._jobs_max:
            return True
        if self._memory_max_bytes is None:
            return False
        resident = child.resident_bytes()
        return resident is None or resident > self._memory_max_bytes


class _Child:
    """One child, with what it leaves, and with what it hangs on."""

    def __init__(self, process: Process, box: KeptBox, parent_death_pipe: ParentDeathPipe) -> None:
        self.process = process
        self.jobs = 0
        """How many it has run."""
        self._peak_bytes: int | None = None
        self._box = box
        self._parent_death_pipe = parent_death_pipe

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str]) -> "_Child":
        with ExitStack() as undone:
            box = KeptBox()
            undone.callback(box.close)
            line = ParentDeathPipe()
            undone.callback(line.cut)
            try:
                # A session of its own: Ctrl-C in the terminal is for the worker, which tells its children.
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=LINE_BYTES_MAX,
                    start_new_session=True,
                    pass_fds=(box.descriptor, line.other_end),
                    env={
                        **environment,
                        crash_recorder.VARIABLE: str(box.descriptor),
                        parent_death_pipe.VARIABLE: str(line.other_end),
                    },
                )
            finally:
                line.handed_over()
            undone.pop_all()
        return cls(process, box, line)

    def lives(self) -> bool:
        """By the word of the system: the event loop learns of an end only when it comes round to it."""
        try:
            return self.process.returncode is None and self._seen().status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    async def keep_sampling(self) -> None:
        """Notes the most memory that it has: once it has ended, nobody knows."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            if (sample := peak_bytes_of(self.process.pid)) is not None:
                self._peak_bytes = max(sample, self._peak_bytes or 0)

    @property
    def peak(self) -> str:
        """As it goes behind how it died."""
        return "" if self._peak_bytes is None else f" (peak memory at least {in_bytes(self._peak_bytes)})"

    def resident_bytes(self) -> int | None:
        """Now; None when it has gone."""
        try:
            return int(self._seen().memory_info().rss)
        except psutil.NoSuchProcess:
            return None

    def stack(self) -> str | None:
        """Where it crashed, if it did."""
        return self._box.stack()

    async def kill(self) -> None:
        """Ends it and what it started; returns when it is gone, even while being cancelled."""
        if self.process.returncode is not None and psutil.pid_exists(self.process.pid):
            return  # it ended long ago, and nothing of it is left: a stranger has its number by now
        try:
            # Also where it has ended by itself: what it started goes on in its group.
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            # Not in any case: it would look for the end before the event loop does, and keep the status.
            if self.process.returncode is None:
                with suppress(ProcessLookupError):
                    self.process.kill()
        await asyncio.shield(self.process.wait())

    async def bury(self) -> None:
        """Ends it, for whoever is done with it."""
        try:
            await self.kill()
        finally:
            self._parent_death_pipe.cut()
            self._box.close()

    def _seen(self) -> psutil.Process:
        return psutil.Process(self.process.pid)


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
    return f"the process that ran the handler was ended by signal {signal_name(code) or -code}"
