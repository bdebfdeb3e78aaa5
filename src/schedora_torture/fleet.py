"""The processes of the system under torture: started as a user starts them, killed, frozen, started again."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

from schedora_torture.launcher import launched

FAILED = 1
COMPLAINT = "schedora: "
COMMAND = (sys.executable, "-m", "schedora.entrypoints.cli.main")
STOP_SECONDS = 20.0
"""While faults strike, whoever has not ended by then is killed."""
END_SECONDS = 60.0
"""Once faults are over, whoever is asked to end does so within this."""
BEGIN_SECONDS_MAX = 80.0
"""For so long, and some more, a process waits for its database when it starts."""
BEGUN = (b"worker registered", b"Schedora listens")
"""What workers and APIs say when they are at work; a reaper says nothing."""
AGAIN_SECONDS = 0.5
"""Before another try, where one has ended by itself."""
INHERITED = (
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "COVERAGE_PROCESS_START",
)
"""What a process gets of the torture's own environment: nothing that configures Schedora."""


@frozen(kw_only=True)
class Ending:
    """A process that ended although nobody had asked it to. ``last_words``: the last line of its log."""

    name: str
    status: int
    last_words: str
    log: str
    lived_seconds: float
    begun: bool
    """Whether its log tells that it was at work."""

    @property
    def in_vain(self) -> bool:
        """Whether it could not begin, and said so as every command does: in one line that is no line of a log."""
        complained = self.status == FAILED and self.last_words.startswith(COMPLAINT)
        return complained and not self.begun and self.lived_seconds <= BEGIN_SECONDS_MAX


@define
class Member:
    """One place in the system, and the process that holds it now. ``name`` is that of this start."""

    role: str
    number: int
    arguments: Sequence[str]
    environment: Mapping[str, str]
    starts: int = 0
    process: Process | None = None
    frozen: bool = False
    down: bool = False
    """Somebody has ended it on purpose, and has not started it again yet."""
    watching: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"{self.role}-{self.number + 1}.{self.starts}"

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Fleet:
    """All members. Every process of it ends with this one, however this one ends."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.members: list[Member] = []
        self.endings: list[Ending] = []
        """Of processes that nobody had asked to end."""
        self.stubborn: list[str] = []
        """Names of those that had to be killed in the end."""
        self._asked: set[Process] = set()
        """Those that were killed or stopped on purpose."""
        self._closing = False

    async def add(
        self, role: str, number: int, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> Member:
        """Starts it, and starts it again whenever it ends by itself. ``{name}`` in ``arguments`` is the name of the start."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        member = Member(role, number, arguments, {**inherited, **environment})
        self.members.append(member)
        await self.start(member)
        return member

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members if member.role == role]

    async def start(self, member: Member) -> None:
        if self._closing:
            return
        member.starts += 1
        member.down = member.frozen = False
        arguments = [argument.format(name=member.name) for argument in member.arguments]
        with (self._logs / f"{member.name}.log").open("ab") as log:
            member.process = await asyncio.create_subprocess_exec(
                *launched([*COMMAND, *arguments]),
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(member.environment),
                cwd=self._logs,
                start_new_session=True,
            )
        member.watching = asyncio.create_task(self._watch(member, member.process))

    async def _watch(self, member: Member, process: Process) -> None:
        loop = asyncio.get_running_loop()
        start, name, began = member.starts, member.name, loop.time()
        status = await process.wait()
        if process in self._asked or self._closing:
            return
        log = f"{name}.log"
        said = (self._logs / log).read_bytes()
        self.endings.append(
            Ending(
                name=name,
                status=status,
                last_words=said.decode(errors="replace").strip().rpartition("\n")[2],
                log=log,
                lived_seconds=loop.time() - began,
                begun=any(words in said for words in BEGUN),
            )
        )
        await asyncio.sleep(AGAIN_SECONDS)
        if not member.down and member.starts == start:  # nobody has started it meanwhile
            await self.start(member)

    async def kill(self, member: Member) -> bool:
        """Gone at once, and not started again until ``start``. Whether it was there."""
        member.down = True
        was_there = member.runs
        await self._end(member, signal.SIGKILL, STOP_SECONDS)
        return was_there

    async def stop(self, member: Member) -> bool:
        """Asked to end, and killed if it does not. Whether it was there."""
        member.down = True
        was_there = member.runs
        await self._end(member, signal.SIGTERM, STOP_SECONDS)
        return was_there

    async def _end(self, member: Member, number: signal.Signals, patience_seconds: float) -> None:
        process = member.process
        if process is None or process.returncode is not None:
            return
        self._asked.add(process)
        self._send(member, number)
        try:
            async with asyncio.timeout(patience_seconds):
                await process.wait()
        except TimeoutError:
            if self._closing:
                self.stubborn.append(member.name)
            self._send(member, signal.SIGKILL)
            await process.wait()

    def freeze(self, member: Member) -> bool:
        """Whether it was there."""
        member.frozen = True
        self._send(member, signal.SIGSTOP)
        return member.runs

    def thaw(self, member: Member) -> None:
        member.frozen = False
        self._send(member, signal.SIGCONT)

    async def close(self) -> None:
        """Ends them all, gently at first, and waits until they are gone."""
        self._closing = True
        for member in self.members:
            member.down = True
            self._send(member, signal.SIGCONT)
        await asyncio.gather(*(self._end(member, signal.SIGTERM, END_SECONDS) for member in self.members))
        for member in self.members:
            if member.watching is not None:
                member.watching.cancel()

    def kill_all(self) -> None:
        for member in self.members:
            self._send(member, signal.SIGKILL)

    def _send(self, member: Member, number: signal.Signals) -> None:
        if (process := member.process) is not None and member.runs:
            with suppress(ProcessLookupError):
                process.send_signal(number)
