"""Worker processes under one command: what is started, what is started again, how they end."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from schedora.domain.ids import IncarnationId
from schedora.domain.worker_death import WorkerDeath
from schedora.entrypoints import supervisor
from schedora.entrypoints.supervisor import worker_command

NOTES_ITS_START = "import os, sys, pathlib; pathlib.Path(sys.argv[1], str(os.getpid())).touch(); "


def program(directory: Path, code: str) -> list[str]:
    return [sys.executable, "-c", NOTES_ITS_START + code, str(directory)]


async def started(directory: Path, count: int) -> set[int]:
    async with asyncio.timeout(30):
        while len(pids := {int(path.name) for path in directory.iterdir()}) < count:
            await asyncio.sleep(0.01)
    return pids


async def nobody(incarnation: IncarnationId, death: WorkerDeath) -> None:
    raise AssertionError(f"these are not known to anybody: {incarnation}, {death}")


def test_the_command_of_a_worker_says_all_that_was_said() -> None:
    command = worker_command(
        target="shop:app",
        queues=("a", "b"),
        concurrency=4,
        worker_id="w-1",
        max_jobs_per_child=9,
        max_memory_mb_per_child=300,
        data_dir=Path("/data"),
    )
    assert command[:4] == [sys.executable, "-m", "schedora.entrypoints.cli.main", "worker"]
    assert command[4:] == [
        "--worker-id", "w-1", "--app", "shop:app", "--queues", "a,b", "--concurrency", "4",
        "--max-jobs-per-child", "9", "--max-memory-mb-per-child", "300", "--data-dir", "/data",
    ]  # fmt: skip


def test_the_command_of_a_worker_says_nothing_that_was_not_said() -> None:
    command = worker_command(
        target=None,
        queues=(),
        concurrency=None,
        worker_id="w-1",
        max_jobs_per_child=None,
        max_memory_mb_per_child=None,
        data_dir=None,
    )
    assert command[4:] == ["--worker-id", "w-1"]


async def test_a_signal_ends_all_of_them(tmp_path: Path) -> None:
    command = program(tmp_path, "import signal; signal.sigwait([signal.SIGTERM])")
    command[2] = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); " + command[2]
    running = asyncio.create_task(supervisor._supervise([command, command], 30, nobody))
    await started(tmp_path, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", timedelta(milliseconds=1))
    monkeypatch.setattr(supervisor, "LIVED_WELL", timedelta(0))
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor._supervise([program(tmp_path, "os._exit(3)")], 30, nobody))
        await started(tmp_path, 3)
        os.kill(os.getpid(), signal.SIGINT)
        assert await running in {0, 1}
    ended = [entry for entry in logs if entry["event"] == "worker process ended; starting another"]
    assert len(ended) >= 2
    assert {entry["status"] for entry in ended} == {3}


async def test_one_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + NOTES_ITS_START
    command = [sys.executable, "-c", code + "signal.pause()", str(tmp_path)]
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor._supervise([command], 0.1, nobody))
        [pid] = await started(tmp_path, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 1
    assert [entry["pid"] for entry in logs] == [pid]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
