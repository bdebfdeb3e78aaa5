"""The torture finds a system that keeps its promises to keep them, one that does not not to, and leaves nothing behind."""

import asyncio
import json
import signal
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import psutil
import pytest

from schedora_torture.checker import Promise
from schedora_torture.faults import ON_OWN_POSTGRES, ON_REDIS, Fault, FaultKind
from schedora_torture.ledger import SCHEMA
from schedora_torture.page import page
from schedora_torture.plan import Plan
from schedora_torture.report import Report, document, lines
from schedora_torture.run import torture
from schedora_torture.workload import JobOrder, Order, OrderKind
from tests.programs import ROOT, Program, unconfigured_environment, until
from tests.tiers import nightly

pytestmark = pytest.mark.xdist_group("torture")
"""One after the other: each asks what is left of it on this machine."""


def a_fault(at: float, kind: FaultKind, hold: float, **fields: Any) -> Fault:
    return Fault(at_seconds=at, kind=kind, hold_seconds=hold, **fields)


FEW = (
    a_fault(1.5, FaultKind.KILL_WORKER, 1),
    a_fault(2, FaultKind.SWALLOW_ANSWERS, 1, target=1, late=True),
    a_fault(2.5, FaultKind.KILL_API, 0.5),
    a_fault(4, FaultKind.CRASH_POSTGRES, 0.5),
    a_fault(4, FaultKind.KILL_REAPER, 0.5),
)
LATE = (a_fault(3, FaultKind.SWALLOW_COMMANDS, 11, late=True),)
"""What the first worker says arrives when its jobs run elsewhere: by then it was declared lost, however busy the machine."""
SILENT = tuple(
    Order(
        at_seconds=0.2,
        number=number,
        kind=OrderKind.LONG,
        jobs=(
            JobOrder(
                key=f"e2e/{number}",
                type="torture.silent",
                payload={"seconds": 1.0},
                options={"queue": "torture-e2e", "max_retries": 100, "retry_base_seconds": 0.1},
            ),
        ),
    )
    for number in range(20)
)
"""As many as both workers run at once, under way when the fault begins."""


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a torture keeps what it removes in the end: nothing of it is left, nor any process."""
    running = set(psutil.Process().children())  # a server of other tests, whose own children come and go
    with TemporaryDirectory(prefix="torture-", dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the account that PostgreSQL runs under passes through it
        monkeypatch.setenv("TMPDIR", name)
        yield directory
        assert list(directory.iterdir()) == []
    assert set(psutil.Process().children()) <= running


def tortured(plan: Plan, faults: tuple[Fault, ...], ordered: Sequence[Order] | None = None) -> Report:
    said: list[str] = []
    report = asyncio.run(torture(plan, said.append, faults, ordered))
    assert said[0].startswith(f"Seed {plan.seed}")
    return report


def a_plan(directory: Path, **fields: Any) -> Plan:
    given = {
        "duration": timedelta(seconds=6), "seed": 3, "run": "e2e", "directory": directory, "workers": 2,
        "apis": 1, "reapers": 1, "rate": 8.0, **fields,
    }  # fmt: skip
    return Plan(**given)


def test_promises_are_kept_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    report = tortured(a_plan(tmp_path), FEW)

    assert report.held, list(lines(report))
    assert set(report.by_kind) == {fault.kind for fault in FEW}
    assert report.starts >= 4 + 3
    assert 0 < report.jobs <= sum(report.by_status.values())
    assert report.drain_seconds is not None
    assert document(report)["by_status"]["SUCCESS"] == report.by_status["SUCCESS"]  # type: ignore[index]
    assert "HELD" in page(report)
    assert {"postgres-keeper.log", "worker-1.2.log", "api-1.2.log", "reaper-1.2.log"} <= {
        log.name for log in tmp_path.iterdir()
    }


@nightly
def test_a_fence_that_is_missing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    plan = a_plan(tmp_path, duration=timedelta(seconds=14), app="tests.e2e.unfenced_torture:app")
    report = tortured(plan, LATE, SILENT)

    assert not report.held
    assert Promise.RESULT_OF_THE_HOLDER in {breach.promise for breach in report.breaches}
    assert all(breach.history for breach in report.breaches)


def the_torture(directory: Path, *arguments: str, said: str) -> Program:
    """Once it has said that."""
    program = Program("torture", *arguments, environment=unconfigured_environment(), directory=directory)

    def begun() -> bool:
        assert program.process.poll() is None, program.err.read_text()
        return said in program.err.read_text()

    try:
        until(begun, f"the torture to say: {said}")
    except BaseException:
        program.process.kill()
        raise
    return program


@nightly
def test_interrupted_on_a_database_that_was_named(tmp_path: Path, migrated_url: str) -> None:
    program = the_torture(
        tmp_path, "--minutes", "10", "--seed", "7", "--rate", "5", "--workers", "2", "--logs", "logs",
        "--database-url", migrated_url, "--json", "report.json", "--html", "report.html", said="accepted",
    )  # fmt: skip
    program.send(signal.SIGINT)
    try:
        assert program.ended() == 0, program.out.read_text()
    finally:
        program.process.kill()
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["held"], report["interrupted"], report["own_database"]) == (True, True, False)
    assert set(report["left_out"]) == ON_OWN_POSTGRES | ON_REDIS
    assert {fault["kind"] for fault in report["faults"]}.isdisjoint(ON_OWN_POSTGRES)
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert "HELD" in program.out.read_text()
    assert asyncio.run(schemas(migrated_url)) == 0


async def schemas(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("select count(*) from pg_namespace where nspname = $1", SCHEMA))
    finally:
        await connection.close()


def test_a_torture_that_is_killed_takes_everything_with_it(tmp_path: Path, temporary: Path) -> None:
    program = the_torture(
        tmp_path, "--minutes", "10", "--logs", "logs", "--workers", "1", "--apis", "1", said="begin"
    )
    try:
        children = psutil.Process(program.pid).children(recursive=True)
        (data_dir,) = temporary.iterdir()
        postmaster = psutil.Process(int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0]))
    finally:
        program.send(signal.SIGKILL)
        program.process.wait()

    assert len(children) >= 5
    until(lambda: not any(alive(child) for child in [*children, postmaster]), "every process to end")
    until(lambda: not data_dir.exists(), "the data to be removed")


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
