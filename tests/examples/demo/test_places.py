"""Where a run keeps its things, and which earlier runs make room."""

import os
from datetime import UTC, datetime
from pathlib import Path

from examples.demo.places import KEPT_RUNS, places_of_run

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def earlier_runs(root: Path, count: int) -> list[Path]:
    runs = [root / f"20250101-00000{number}" for number in range(count)]
    for run in runs:
        (run / "data").mkdir(parents=True)
    return runs


def test_a_run_has_its_own_directories(tmp_path: Path) -> None:
    places = places_of_run(NOW, root=tmp_path, data_dir=None)
    assert places.run == tmp_path / "20260305-120000"
    assert places.data == places.run / "data"
    assert all(path.is_dir() for path in (places.logs, places.invoices, places.mails, places.months))


def test_a_data_directory_that_is_given_is_used(tmp_path: Path) -> None:
    assert places_of_run(NOW, root=tmp_path, data_dir=tmp_path / "mine").data == tmp_path / "mine"


def test_the_oldest_runs_make_room(tmp_path: Path) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 2)
    places_of_run(NOW, root=tmp_path, data_dir=None)
    assert [run.exists() for run in runs] == [False] * 2 + [True] * KEPT_RUNS


def test_a_run_that_is_needed_stays(tmp_path: Path) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 2)
    places_of_run(NOW, root=tmp_path, data_dir=runs[0] / "data")
    assert [run.exists() for run in runs[:2]] == [True, False]


def test_a_run_whose_database_may_still_be_up_stays(tmp_path: Path) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 2)
    for run, pid in zip(runs, (os.getpid(), 2**31 - 1), strict=False):
        (run / "data" / "postgres").mkdir()
        (run / "data" / "postgres" / "postmaster.pid").write_text(f"{pid}\n/somewhere\n")
    places_of_run(NOW, root=tmp_path, data_dir=None)
    assert [run.exists() for run in runs[:2]] == [True, False]


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    earlier_runs(tmp_path, KEPT_RUNS + 1)
    places_of_run(NOW, root=tmp_path, data_dir=None)
    assert (tmp_path / "notes").exists()
