"""Processes of which is known how they ended."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest

from schedora.adapters.system.vitals import peak_bytes
from schedora.adapters.system.watched_process import ProcessEnd, WatchedProcess
from tests.programs import PATIENCE_SECONDS


def started(code: str) -> WatchedProcess:
    return WatchedProcess([sys.executable, "-c", code], environment=os.environ)


async def end_of(process: WatchedProcess) -> ProcessEnd:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await process.ended


async def test_exit_status_and_memory_are_known() -> None:
    here_bytes = peak_bytes()
    assert here_bytes is not None
    lean, fat = started("raise SystemExit(7)"), started(f"held = b'x' * {here_bytes}; raise SystemExit(7)")
    assert (await end_of(lean)).returncode == 7
    end = await end_of(fat)
    assert end.how == f"exited with status 7{end.memory}"
    assert end.peak_bytes > here_bytes
    assert (await end_of(lean)).peak_bytes < end.peak_bytes


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_it_can_be_ended_and_tells_by_what(number: signal.Signals) -> None:
    process = started("import time; time.sleep(60)")
    process.send(number)
    end = await end_of(process)
    assert end.returncode == -number
    assert end.how.startswith(f"was ended by {number.name} (peak memory ")
    process.send(number)  # to nobody


async def test_who_gave_up_on_it_is_not_told() -> None:
    process = started("import time; time.sleep(60)")
    process.ended.cancel()
    process.send(signal.SIGKILL)
    await asyncio.to_thread(process._waiting.join, PATIENCE_SECONDS)
    await asyncio.sleep(0)
    assert process.ended.cancelled()


async def test_what_nobody_can_wait_for_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[subprocess.Popen[bytes]] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    def no_room(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(subprocess, "Popen", Popen)
    monkeypatch.setattr(threading.Thread, "start", no_room)
    with pytest.raises(OSError, match="can't start new thread"):
        started("import time; time.sleep(60)")
    assert [process.returncode for process in made] == [-signal.SIGKILL]
