"""Each verb of a driver, on a system that keeps its jobs in a file."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.systems.counters import Readings

ROOT = Path(__file__).parents[2]

COMMON = """
import asyncio, json, signal
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from benchmarks.systems.driving import Unsupported, drive, ready, terminated

def store(url, *payloads):
    with Path(url).open("a") as jobs:
        for payload in payloads:
            jobs.write(json.dumps(payload) + "\\n")

def setup(url):
    Path(url).write_text("")

def refuse(terms):
    if terms.priority is not None:
        raise Unsupported(f"no priority, so none {terms.priority}")
"""

ASYNC = """
class Submitter:
    def __init__(self, url): self.url = url
    async def one(self, payload):
        await asyncio.sleep(0)
        store(self.url, payload)
    async def batch(self, payloads): store(self.url, *payloads)

@asynccontextmanager
async def submitting(url, terms):
    refuse(terms)
    yield Submitter(url)

async def work(worker):
    done = worker.counting()
    ready()
    for line in Path(worker.url).read_text().splitlines():
        done(json.loads(line)["at"])
    await terminated()

drive(setup=setup, submitting=submitting, work=work)
"""

BLOCKING = """
class Submitter:
    def __init__(self, url): self.url = url
    def one(self, payload): store(self.url, payload)
    def batch(self, payloads): store(self.url, *payloads)

@contextmanager
def submitting(url, terms):
    refuse(terms)
    yield Submitter(url)

def work(worker):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    done = worker.counting()
    ready(4711)
    for line in Path(worker.url).read_text().splitlines():
        done(json.loads(line)["at"])
    signal.sigwait([signal.SIGTERM])

drive(setup=setup, submitting_blocking=submitting, work=work)
"""


class Driver:
    def __init__(self, directory: Path, program: str) -> None:
        self.jobs = directory / "jobs"
        self.file = directory / "driver.py"
        self.file.write_text(COMMON + program)
        self.environment = {"PYTHONPATH": str(ROOT)}

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [sys.executable, str(self.file), verb, "--url", str(self.jobs), *arguments]

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(verb, *arguments), env=self.environment, capture_output=True, text=True, check=False
        )

    def answer(self, verb: str, *arguments: str) -> dict[str, float]:
        run = self.run(verb, *arguments)
        assert (run.returncode, run.stderr) == (0, "")
        said: dict[str, float] = json.loads(run.stdout)
        return said

    def stored(self) -> list[dict[str, int | str]]:
        return [json.loads(line) for line in self.jobs.read_text().splitlines()]


@pytest.fixture(params=[ASYNC, BLOCKING], ids=["async", "blocking"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Driver:
    made = Driver(tmp_path, request.param)
    assert made.run("setup").returncode == 0
    return made


@pytest.mark.parametrize(
    "mode",
    [("one",), ("concurrent", "--concurrency", "7"), ("batch", "--batch", "30")],
    ids=lambda mode: mode[0],
)
def test_as_many_are_stored_as_are_told(driver: Driver, mode: tuple[str, ...]) -> None:
    said = driver.answer("submit", "--count", "100", "--mode", *mode)
    stored = driver.stored()
    assert said["jobs"] == 100
    assert said["stored"] == len(stored) > 100
    assert said["seconds"] > 0
    timed = stored[len(stored) - 100 :]
    assert sorted(int(payload["n"]) for payload in timed) == list(range(100))
    assert {payload["at"] for payload in stored} == {0}
    assert all(90 <= len(json.dumps(payload)) <= 110 for payload in stored)


def test_a_trickle_keeps_its_pace_and_tells_when_each_was_submitted(driver: Driver) -> None:
    before = time.monotonic_ns()
    said = driver.answer("trickle", "--count", "10", "--rate", "100")
    timed = [int(payload["at"]) for payload in driver.stored() if payload["at"]]
    assert said["seconds"] >= 0.09
    assert len(timed) == 10 == said["jobs"]
    assert len(driver.stored()) == said["stored"]
    assert before < min(timed)
    assert max(timed) < time.monotonic_ns()
    assert timed == sorted(timed)


def test_what_a_system_cannot_do_is_told_by_the_status(driver: Driver) -> None:
    run = driver.run("submit", "--count", "1", "--mode", "one", "--priority", "higher")
    assert (run.returncode, run.stdout, run.stderr) == (3, "", "no priority, so none higher\n")


def test_a_worker_counts_until_it_is_told_to_stop(driver: Driver, tmp_path: Path) -> None:
    driver.answer("submit", "--count", "5", "--mode", "batch")
    counters = tmp_path / "counters"
    readings = Readings(counters)
    worker = subprocess.Popen(
        driver.command("work", "--counters", str(counters), "--slot", "3"),
        env=driver.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    word, pid = worker.stdout.readline().split()
    assert word == "ready"
    assert int(pid) in (worker.pid, 4711)
    stored = len(driver.stored())
    while readings.total() < stored:
        assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    worker.stdout.close()
    assert worker.wait(60) == 0
    assert readings.counts()[3] == stored
