"""The processes of the demo: started, killed, and none left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest
from examples.demo.system import ROOT, ProcessEndedError, System

WAIT = "import sys; sys.stdin.close(); import time; print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys;"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print(child.pid, flush=True); child.wait()"
)

DEMO = """
import asyncio, sys
from pathlib import Path
from examples.demo.system import System

async def main():
    directory = Path(sys.argv[1])
    async with System(directory, {}, directory=directory, command=[sys.executable, "-c"]) as system:
        await system.start("a", sys.argv[2])
        print(system.pid("a"), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


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


async def test_a_line_that_a_process_prints_is_waited_for(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        await system.start(
            "a", "print('noise'); print('here: it is', flush=True); import time; time.sleep(600)"
        )
        assert await system.says("a", "here: ") == "it is"


async def test_a_process_that_ends_before_it_says_the_line_is_noticed(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        await system.start("a", "print('noise')")
        with pytest.raises(ProcessEndedError, match="a ended with status 0"):
            await system.says("a", "here: ")


async def test_a_line_that_never_comes_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.demo.system.READY_SECONDS_MAX", 0.1)
    async with system_of_scripts(tmp_path) as system:
        await system.start("a", WAIT)
        with pytest.raises(TimeoutError, match="a did not say 'here: '"):
            await system.says("a", "here: ")


async def test_a_program_is_run_to_its_end_and_its_output_returned(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        script = "import sys; print('out'); print('err', file=sys.stderr)"
        assert await system.output_of("a", sys.executable, "-c", script) == b"out\n"
        system.check()
    assert (tmp_path / "a.log").read_text() == "err\n"


async def test_a_program_that_fails_is_noticed(tmp_path: Path) -> None:
    async with system_of_scripts(tmp_path) as system:
        with pytest.raises(ProcessEndedError, match="a ended with status 2"):
            await system.output_of("a", sys.executable, "-c", "import sys; sys.exit(2)")


async def test_a_demo_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DEMO,
        str(tmp_path),
        WAIT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert demo.stdout is not None
    child = psutil.Process(int(await demo.stdout.readline()))
    await until_it_says_something(tmp_path / "a.log")

    demo.kill()

    await demo.wait()
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        await asyncio.sleep(0.01)


async def _check_for_ever(system: System) -> None:
    while True:
        system.check()
        await asyncio.sleep(0)
