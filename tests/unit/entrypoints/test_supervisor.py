"""Worker processes under one command: what is started, what is started again, how they end."""

import asyncio
import errno
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from schedora.adapters.system.watched_process import WatchedProcess
from schedora.application.errors import StoreUnavailable
from schedora.domain.ids import IncarnationId
from schedora.domain.worker_death import WorkerDeath
from schedora.entrypoints import supervisor
from schedora.entrypoints.supervisor import worker_command

SPANS = supervisor._Spans(stop=30, hung=600)
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
    running = asyncio.create_task(supervisor._supervise([command, command], SPANS, nobody))
    await started(tmp_path, 2)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_dies_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", timedelta(milliseconds=1))
    monkeypatch.setattr(supervisor, "LIVED_WELL", timedelta(0))
    with capture_logs() as logs:
        running = asyncio.create_task(
            supervisor._supervise([program(tmp_path, "os._exit(3)")], SPANS, nobody)
        )
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
        running = asyncio.create_task(supervisor._supervise([command], evolve(SPANS, stop=0.1), nobody))
        [pid] = await started(tmp_path, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 1
    assert [entry["pid"] for entry in logs] == [pid]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


class Heard:
    """Deaths as the store hears of them, once it is there."""

    def __init__(self, *, away: int = 0) -> None:
        self.deaths: list[tuple[IncarnationId, WorkerDeath]] = []
        self.came = asyncio.Event()
        self._away = away

    async def __call__(self, incarnation: IncarnationId, death: WorkerDeath) -> None:
        if self._away:
            self._away -= 1
            raise StoreUnavailable("away")
        self.deaths.append((incarnation, death))
        self.came.set()


IS_SOMEBODY = (
    "import faulthandler, os, signal, sys, time; from uuid import UUID;"
    " from schedora.adapters.system.crash_recorder import CrashRecorder;"
    " box = CrashRecorder.given(); box.name(UUID(int=7)); faulthandler.enable(file=box.descriptor); "
)


async def test_the_store_is_told_how_one_ended_even_if_it_is_away_at_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", timedelta(milliseconds=1))
    heard = Heard(away=2)
    command = [sys.executable, "-c", IS_SOMEBODY + "os.kill(os.getpid(), signal.SIGKILL)"]
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor._supervise([command], SPANS, heard))
        async with asyncio.timeout(30):
            await heard.came.wait()
        os.kill(os.getpid(), signal.SIGINT)
        await running
    incarnation, death = heard.deaths[0]
    assert incarnation.int == 7
    assert death.how.startswith("was ended by SIGKILL (peak memory ")
    assert len([entry for entry in logs if entry["event"].startswith("the store can't be told")]) == 2


async def test_what_the_store_does_not_hear_keeps_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LAST_NOTES_SECONDS", 0.01)
    heard = Heard(away=1_000)
    command = [sys.executable, "-c", IS_SOMEBODY + NOTES_ITS_START + "time.sleep(60)", str(tmp_path)]
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor._supervise([command], SPANS, heard))
        await started(tmp_path, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await running == 1
    assert "the store can't be told how a worker ended" in {entry["event"] for entry in logs}


async def test_one_that_has_not_begun_is_no_failure_when_it_is_stopped(tmp_path: Path) -> None:
    running = asyncio.create_task(
        supervisor._supervise([program(tmp_path, "import time; time.sleep(60)")], SPANS, nobody)
    )
    await started(tmp_path, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_one_that_can_not_be_started_is_tried_again_and_takes_nothing_from_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE", timedelta(milliseconds=1))
    real, failures = WatchedProcess.__init__, 3
    descriptors: set[int] = set()

    def start(process: WatchedProcess, *args: Any, **kwargs: Any) -> None:
        nonlocal failures
        if (tmp_path / "first").exists() and failures:
            failures -= 1
            descriptors.update(kwargs["descriptors"])
            raise OSError(errno.EAGAIN, "no room")
        real(process, *args, **kwargs)

    monkeypatch.setattr(WatchedProcess, "__init__", start)
    stays = tmp_path / "stays"
    stays.mkdir()
    waits = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); "
    staying = program(stays, "signal.sigwait([signal.SIGTERM])")
    dying = program(
        stays, f"pathlib.Path({str(tmp_path / 'first')!r}).touch(); signal.sigwait([signal.SIGTERM])"
    )
    for command in (staying, dying):
        command[2] = waits + command[2]
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor._supervise([staying, dying], SPANS, nobody))
        both = await started(stays, 2)
        async with asyncio.timeout(30):
            while not (tmp_path / "first").exists():
                await asyncio.sleep(0.01)
        for pid in both:
            os.kill(pid, signal.SIGKILL)
        await started(stays, 4)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await running == 0
    told = [entry for entry in logs if entry["event"] == "no worker process can be started; trying again"]
    assert [entry["error"] for entry in told] == [f"[Errno {errno.EAGAIN}] no room"] * 3
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


async def test_one_that_runs_no_python_is_ended_and_tells_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.1)
    heard = Heard()
    code = IS_SOMEBODY + "time.sleep(0.3); box.touch(); import ctypes; ctypes.PyDLL(None).sleep(60)"
    running = asyncio.create_task(
        supervisor._supervise([[sys.executable, "-c", code]], evolve(SPANS, hung=0.5), heard)
    )
    async with asyncio.timeout(30):
        await heard.came.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await running
    _, death = heard.deaths[0]
    assert death.how.startswith("ran no Python for ")
    assert death.stack is not None
    assert death.stack.startswith("Fatal Python error: Aborted")


async def test_one_that_was_stopped_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    enough = asyncio.Event()

    def is_stopped(_: object) -> bool:
        nonlocal looks
        looks += 1
        if looks == 100:
            enough.set()
        return looks <= 100

    monkeypatch.setattr(supervisor, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(WatchedProcess, "is_stopped", property(is_stopped))
    heard = Heard()
    code = IS_SOMEBODY + "time.sleep(0.3); box.touch(); time.sleep(60)"
    running = asyncio.create_task(
        supervisor._supervise([[sys.executable, "-c", code]], evolve(SPANS, hung=0.1), heard)
    )
    async with asyncio.timeout(30):
        await enough.wait()
        assert heard.deaths == []
        await heard.came.wait()  # it goes on, and does not
    os.kill(os.getpid(), signal.SIGINT)
    await running
    assert heard.deaths[0][1].how.startswith("ran no Python for ")


def test_a_busy_machine_makes_nobody_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[supervisor._Spans] = []

    async def supervise(_: object, spans: supervisor._Spans, __: object) -> int:
        told.append(spans)
        return 0

    monkeypatch.setattr(supervisor, "_supervise", supervise)
    for hung_seconds in (2, 48):
        supervisor.supervise(
            target=None, queues=(), concurrency=None, processes=1, worker_id="w", max_jobs_per_child=None,
            max_memory_mb_per_child=None, data_dir=None, stop_seconds=30, hung_seconds=hung_seconds,
            note_death=nobody,
        )  # fmt: skip
    assert [(spans.stop, spans.hung) for spans in told] == [(45, 30), (45, 48)]
