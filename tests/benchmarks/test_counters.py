"""Workers write in processes of their own; the harness reads beside them."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.systems.counters import RING, SLOTS, Counters, Readings

SYSTEMS = Path(__file__).parents[2] / "benchmarks" / "systems"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "counters"


def test_jobs_of_all_slots_are_counted(path: Path) -> None:
    readings = Readings(path)
    for slot, jobs in [(0, 3), (SLOTS - 1, 2)]:
        writer = Counters(path, slot)
        for _ in range(jobs):
            writer.done(0)
    counts = readings.counts()
    assert (counts[0], counts[-1], readings.total()) == (3, 2, 5)
    assert readings.latencies() == []


def test_what_another_process_does_is_seen(path: Path) -> None:
    readings = Readings(path)
    submitted = time.monotonic_ns()
    program = (
        f"from counters import Counters\nc = Counters({str(path)!r}, 7)\nc.done(0)\nc.done({submitted})\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": str(SYSTEMS)})
    assert readings.counts()[7] == 2
    [latency] = readings.latencies()
    assert 0 < latency < time.monotonic_ns() - submitted


def test_threads_lose_no_job(path: Path) -> None:
    readings = Readings(path)
    writer = Counters(path, 0)
    with ThreadPoolExecutor(4) as threads:
        for _ in range(4_000):
            threads.submit(writer.done, time.monotonic_ns())
    assert readings.total() == 4_000
    assert len(readings.latencies()) == 4_000


def test_the_newest_latencies_are_kept(path: Path) -> None:
    readings = Readings(path)
    writer = Counters(path, 1)
    long_ago = time.monotonic_ns() - 10**12
    for _ in range(10):
        writer.done(long_ago)
    for _ in range(RING):
        writer.done(time.monotonic_ns())
    assert readings.total() == RING + 10
    assert len(readings.latencies()) == RING
    assert max(readings.latencies()) < 10**12


def test_a_file_is_emptied(path: Path) -> None:
    Readings(path)
    Counters(path, 0).done(0)
    assert Readings(path).total() == 0


@pytest.mark.parametrize("slot", [-1, SLOTS])
def test_a_slot_beyond_the_file_is_refused(path: Path, slot: int) -> None:
    Readings(path)
    with pytest.raises(ValueError, match=f"slot {slot} is not one of"):
        Counters(path, slot)
