"""Child processes: started when needed, kept for the next job, really killed."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from schedora.adapters.system import processes
from schedora.adapters.system.child_protocol import Ended, Progress, Written, encode_said
from schedora.adapters.system.parent_death_pipe import ParentDeathPipe
from schedora.adapters.system.processes import PROCESS_DIED, ChildProcesses
from schedora.application.ports.processes import ProcessCall
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Failed, Outcome, Snoozed, Succeeded
from tests.builders import HOUR, NOON, a_claimed_job, settled
from tests.programs import PATIENCE_SECONDS

# Does what the payload of each call says, line by line: so little that it starts at once.
CHILD = """
import json, os, signal, subprocess, sys, time
for line in sys.stdin:
    for verb, *words in json.loads(json.loads(line)["job"]["payload"])["do"]:
        if verb == "say":
            print(words[0], flush=True)
        elif verb == "exit":
            os._exit(words[0])
        elif verb == "die":
            os.kill(os.getpid(), words[0])
        elif verb == "hear":
            sys.stdin.readline()
        elif verb == "grow":
            held = b"x" * words[0]
        elif verb == "crash":
            import ctypes, faulthandler
            faulthandler.enable(file=int(os.environ["SCHEDORA_CRASH_RECORDER"]))
            ctypes.string_at(0)
        elif verb == "hang up":
            os.close(0)
            os.close(1)
            time.sleep(words[0])
        elif verb == "tell":
            with open(words[0], "w") as file:
                child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                file.write(f"{os.getpid()} {child.pid} {os.environ.get('GIVEN')}")
            os.rename(words[0], words[0] + ".done")
"""


class RecordedLink:
    def __init__(self) -> None:
        self.reports: list[str] = []
        self.lines: list[str] = []
        self.spans: list[str] = []
        self.completions: list[tuple[Completion, AbstractSet[str]]] = []

    def report(self, progress: JsonText) -> None:
        self.reports.append(progress)

    def leave_line(self, line: JsonText) -> None:
        self.lines.append(line)

    def leave_span(self, span: JsonText) -> None:
        self.spans.append(span)

    def written(self, completion: Completion, released: AbstractSet[str]) -> None:
        self.completions.append((completion, released))


@pytest.fixture
async def children(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ChildProcesses]:
    # A busy machine is slow to end them.
    monkeypatch.setattr(processes, "LAST_BREATH_SECONDS", PATIENCE_SECONDS)
    children = ChildProcesses((sys.executable, "-c", CHILD), idle_max=1, environment={"GIVEN": "so"})
    yield children
    await children.close()


def call(*do: list[Any]) -> ProcessCall:
    payload = JsonText(orjson.dumps({"do": do}).decode())
    return ProcessCall(target="m:f", job=a_claimed_job(payload=payload), started_at=NOON, upstream={})


def says(said: Progress | Written | Ended) -> list[Any]:
    return ["say", encode_said(said).decode().rstrip("\n")]


def ends(outcome: Outcome | None = None) -> list[Any]:
    return says(Ended(outcome=outcome or Succeeded()))


async def told(path: Path) -> list[str]:
    """What a child that was asked to tell of itself wrote."""
    done = path.with_name(path.name + ".done")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not done.exists():
            await asyncio.sleep(0.005)
    return done.read_text().split()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def dies(pid: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not gone(pid):
            await asyncio.sleep(0.005)


async def test_outcome_and_all_that_is_told_before_arrive(children: ChildProcesses) -> None:
    link = RecordedLink()
    completion = settled(a_claimed_job(), Succeeded())
    outcome = await children.run(
        call(
            says(Progress(document=JsonText("1"))),
            says(Progress(document=JsonText("2"))),
            says(Written(completion=completion, released=frozenset({"q"}))),
            ends(Snoozed(delay=HOUR)),
        ),
        link=link,
    )
    assert outcome == Snoozed(delay=HOUR)
    assert link.reports == ["1", "2"]
    assert link.completions == [(completion, {"q"})]


async def test_child_is_kept_for_the_next_call(children: ChildProcesses, tmp_path: Path) -> None:
    pids = []
    for number in range(2):
        path = tmp_path / str(number)
        await children.run(call(["tell", str(path)], ends()), link=RecordedLink())
        pids.append((await told(path))[0])
    assert pids[0] == pids[1]


async def test_no_more_are_kept_than_agreed(children: ChildProcesses, tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(2)]
    runs = [children.run(call(["tell", str(path)], ends()), link=RecordedLink()) for path in paths]
    await asyncio.gather(*runs)
    pids = [int((await told(path))[0]) for path in paths]
    assert sorted(gone(pid) for pid in pids) == [False, True]
    await children.close()
    assert all(gone(pid) for pid in pids)


async def test_environment_is_passed_on(children: ChildProcesses, tmp_path: Path) -> None:
    await children.run(call(["tell", str(tmp_path / "x")], ends()), link=RecordedLink())
    assert (await told(tmp_path / "x"))[2] == "so"


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (["exit", 7], "exited with status 7"),
        (["exit", 0], "exited with status 0"),
        (["die", signal.SIGKILL], "was ended by signal SIGKILL"),
        (["die", signal.SIGRTMIN + 3], f"was ended by signal {signal.SIGRTMIN + 3}"),
    ],
    ids=str,
)
async def test_child_that_dies_is_a_failure_and_the_next_call_gets_another(
    children: ChildProcesses, do: list[Any], said: str
) -> None:
    outcome = await children.run(call(do), link=RecordedLink())
    assert isinstance(outcome, Failed)
    assert outcome.kind == PROCESS_DIED
    assert outcome.message.startswith(f"the process that ran the handler {said}")
    assert await children.run(call(ends()), link=RecordedLink()) == Succeeded()


async def test_child_that_died_while_idle_is_replaced(children: ChildProcesses, tmp_path: Path) -> None:
    await children.run(call(["tell", str(tmp_path / "x")], ends()), link=RecordedLink())
    pid = int((await told(tmp_path / "x"))[0])
    os.kill(pid, signal.SIGKILL)
    while not gone(pid):  # the event loop has no time to take note of it
        pass
    assert await children.run(call(ends()), link=RecordedLink()) == Succeeded()


async def test_child_whose_end_was_taken_note_of_by_the_system_alone_is_replaced(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pids = []
    for number in range(2):
        path = tmp_path / str(number)
        await children.run(call(["tell", str(path)], ends()), link=RecordedLink())
        pids.append(int((await told(path))[0]))
        monkeypatch.setattr(psutil, "Process", no_such_process)
    monkeypatch.undo()
    assert pids[0] != pids[1]
    assert gone(pids[0]), "it was there all the same"


async def test_number_of_a_child_that_died_while_idle_may_be_anothers(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await children.run(call(["tell", str(tmp_path / "x")], ends()), link=RecordedLink())
    child, grandchild = map(int, (await told(tmp_path / "x"))[:2])
    [idle] = children._idle
    os.kill(child, signal.SIGKILL)
    await idle.process.wait()  # until the event loop has taken note, not only the system
    monkeypatch.setattr(psutil, "pid_exists", lambda pid: pid == child)
    assert await children.run(call(ends()), link=RecordedLink()) == Succeeded()
    assert not gone(grandchild), "it stands for whoever has the number"
    os.kill(grandchild, signal.SIGKILL)


def no_such_process(pid: int) -> psutil.Process:
    raise psutil.NoSuchProcess(pid)


@pytest.mark.parametrize("error", [ProcessLookupError, PermissionError])
async def test_child_is_killed_alone_where_its_group_can_not_be(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[OSError]
) -> None:
    def refuse(_group: int, _signal: int) -> None:
        raise error

    monkeypatch.setattr(os, "killpg", refuse)
    running = asyncio.create_task(children.run(call(["tell", str(tmp_path / "x")]), link=RecordedLink()))
    child, grandchild = map(int, (await told(tmp_path / "x"))[:2])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(child)
    os.kill(grandchild, signal.SIGKILL)


@pytest.mark.parametrize("idle", [False, True])
async def test_child_that_hangs_up_and_lives_on_is_killed(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, idle: bool
) -> None:
    monkeypatch.setattr(processes, "LAST_BREATH_SECONDS", 0.05)
    tells, hangs_up = ["tell", str(tmp_path / "x")], ["hang up", 60]
    if idle:  # it hears nothing any more: nobody knows before it is spoken to
        await children.run(call(tells, ends(), hangs_up), link=RecordedLink())
        outcome = await children.run(call(["say", "x" * 1_000_000]), link=RecordedLink())
    else:
        outcome = await children.run(call(tells, hangs_up), link=RecordedLink())
    assert isinstance(outcome, Failed)
    assert outcome.kind == PROCESS_DIED
    assert outcome.message.endswith("closed its line to the worker and was killed")
    assert gone(int((await told(tmp_path / "x"))[0]))


async def test_canceled_call_kills_the_child_and_what_it_started(
    children: ChildProcesses, tmp_path: Path
) -> None:
    running = asyncio.create_task(children.run(call(["tell", str(tmp_path / "x")]), link=RecordedLink()))
    child, grandchild = map(int, (await told(tmp_path / "x"))[:2])
    assert not gone(child)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert gone(child)
    await dies(grandchild)


async def test_close_ends_those_that_are_busy(children: ChildProcesses, tmp_path: Path) -> None:
    running = asyncio.create_task(children.run(call(["tell", str(tmp_path / "x")]), link=RecordedLink()))
    child = int((await told(tmp_path / "x"))[0])
    await children.close()
    assert gone(child)
    outcome = await running
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("signal SIGKILL")


async def test_child_that_talks_nonsense_is_killed(children: ChildProcesses, tmp_path: Path) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        await children.run(call(["tell", str(tmp_path / "x")], ["say", "nonsense"]), link=RecordedLink())
    assert gone(int((await told(tmp_path / "x"))[0]))


async def test_command_that_is_not_there_is_an_error() -> None:
    children = ChildProcesses(("/nowhere/python",), idle_max=1)
    with pytest.raises(FileNotFoundError):
        await children.run(call(ends()), link=RecordedLink())


async def pids_of(children: ChildProcesses, tmp_path: Path, *verbs: list[Any], count: int = 3) -> list[str]:
    """Of the children that so many calls after each other were given to."""
    pids = []
    for number in range(count):
        path = tmp_path / f"{len(verbs)}-{number}"
        await children.run(call(["tell", str(path)], *verbs, ends()), link=RecordedLink())
        pids.append((await told(path))[0])
    return pids


async def test_child_that_has_run_its_jobs_is_replaced(tmp_path: Path) -> None:
    children = ChildProcesses((sys.executable, "-c", CHILD), idle_max=1, jobs_max=2)
    first, second, third = await pids_of(children, tmp_path)
    assert (first == second, second == third) == (True, False)
    assert gone(int(first))
    await children.close()


async def test_child_that_has_grown_is_replaced_after_its_job(tmp_path: Path) -> None:
    children = ChildProcesses((sys.executable, "-c", CHILD), idle_max=1, memory_max_bytes=100_000_000)
    first, second, third = await pids_of(children, tmp_path)
    assert first == second == third
    grown = await pids_of(children, tmp_path, ["grow", 150_000_000], count=2)
    assert grown[0] == first != grown[1]
    assert gone(int(first))
    await children.close()


async def test_the_most_memory_of_one_that_died_is_told(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes, "SAMPLE_SECONDS", 0.001)
    running = asyncio.create_task(
        children.run(
            call(["grow", 250_000_000], ["tell", str(tmp_path / "x")], ["hear"], ["die", signal.SIGKILL]),
            link=RecordedLink(),
        )
    )
    await told(tmp_path / "x")
    [child] = children._busy
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "MB" not in child.peak or int(child.peak.split()[-2]) < 250:
            await asyncio.sleep(0.001)
    assert child.process.stdin is not None
    child.process.stdin.write(b"go on\n")
    outcome = await running
    assert isinstance(outcome, Failed)
    assert "was ended by signal SIGKILL (peak memory at least 2" in outcome.message


async def test_child_that_crashes_tells_where(children: ChildProcesses) -> None:
    outcome = await children.run(call(["crash"]), link=RecordedLink())
    assert isinstance(outcome, Failed)
    assert outcome.message.startswith("the process that ran the handler was ended by signal SIGSEGV")
    assert outcome.traceback is not None
    assert outcome.traceback.startswith("Fatal Python error: Segmentation fault")


async def test_what_a_child_that_died_has_started_is_ended(children: ChildProcesses, tmp_path: Path) -> None:
    await children.run(call(["tell", str(tmp_path / "x")], ["exit", 1]), link=RecordedLink())
    await dies(int((await told(tmp_path / "x"))[1]))


async def test_nothing_is_left_open(children: ChildProcesses) -> None:
    await children.run(call(["exit", 1]), link=RecordedLink())
    before = psutil.Process().num_fds()
    for _ in range(3):
        await children.run(call(["exit", 1]), link=RecordedLink())
    assert psutil.Process().num_fds() <= before


async def test_nothing_is_left_open_of_a_child_that_could_not_be_started(
    children: ChildProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many() -> ParentDeathPipe:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(processes, "ParentDeathPipe", too_many)
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(OSError, match="Too many open files"):
            await children.run(call(ends()), link=RecordedLink())
    assert psutil.Process().num_fds() == before
