"""The processes of the demo: started, killed, and none left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from examples.demo.system import ProcessEndedError, System, free_port

WAIT = "import sys; sys.stdin.close(); import time; print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True); child.wait()"
)


def system_of_scripts(tmp_path: Path) -> System:
    """Return a system whose processes are Python scripts given as the argument."""
    return System(tmp_path, {"GREETING": "hello"}, directory=tmp_path, command=[sys.executable, "-c"])


async def until_it_says_something(log: Path) -> str:
    while not (said := log.read_text()).endswith("\n"):
        os.sched_yield()
    return said.strip()


async def test_what_a_process_prints_is_in_its_log(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        await system.start("a", "import os; print(os.environ['GREETING'], os.getcwd())")
        assert await until_it_says_something(tmp_path / "a.log") == f"hello {tmp_path}"


async def test_leaving_ends_every_process(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        for name in ("a", "b"):
            await system.start(name, WAIT)
            await until_it_says_something(tmp_path / f"{name}.log")
        pids = [system.pid("a"), system.pid("b")]
        system.check()
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_process_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        await system.start("a", "import sys; sys.exit(3)")
        with pytest.raises(ProcessEndedError, match="a ended with status 3; its log is"):
            await _check_for_ever(system)


async def test_a_kill_hits_one_process_and_what_it_leaves_behind_is_found_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.demo.system.ORPHAN_SECONDS_MAX", 0.1)
    async with system_of_scripts(tmp_path) as system:
        await system.start("victim", PARENT)
        await system.start("other", WAIT)
        orphan = psutil.Process(int(await until_it_says_something(tmp_path / "victim.log")))
        await system.kill("victim")
        system.check()
        assert orphan.is_running()
        assert not await system.orphans_ended()
    while orphan.is_running() and orphan.status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()


async def test_orphans_that_end_by_themselves_are_no_matter(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        await system.start("victim", PARENT)
        orphan = int(await until_it_says_something(tmp_path / "victim.log"))
        await system.kill("victim")
        os.kill(orphan, signal.SIGKILL)
        assert await system.orphans_ended()


def test_a_free_port_can_be_had() -> None:
    assert 1024 <= free_port() < 65536


async def _check_for_ever(system: System) -> None:
    while True:
        system.check()
        await asyncio.sleep(0)
