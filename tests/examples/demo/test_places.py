"""Where a run keeps its things, and which earlier runs make room."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from examples.demo.places import KEPT_RUNS, places_of_run, shown_path

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


def earlier_runs(root: Path, count: int) -> list[Path]:
    runs = [root / f"20250101-00000{number}" for number in range(count)]
    for run in runs:
        (run / "data").mkdir(parents=True)
    return runs


def test_a_run_has_its_own_directories(tmp_path: Path) -> None:
    places = places_of_run(NOW, root=tmp_path)
    assert places.run == tmp_path / "20260305-120000"
    assert places.data == places.run / "data"
    assert all(path.is_dir() for path in (places.logs, places.invoices, places.mails, places.months))


def test_runs_that_begin_at_once_share_nothing(tmp_path: Path) -> None:
    runs = [places_of_run(NOW, root=tmp_path).run.name for _ in range(3)]
    assert runs == ["20260305-120000", "20260305-120000-2", "20260305-120000-3"]


def test_the_oldest_runs_make_room(tmp_path: Path) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 2)
    places_of_run(NOW, root=tmp_path)
    assert [run.exists() for run in runs] == [False] * 2 + [True] * KEPT_RUNS


def test_a_run_whose_database_may_still_be_up_stays(tmp_path: Path) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 3)
    for run, written in zip(runs, (f"{os.getpid()}\n/somewhere\n", f"{2**31 - 1}\n", ""), strict=False):
        (run / "data" / "postgres").mkdir()
        (run / "data" / "postgres" / "postmaster.pid").write_text(written)
    places_of_run(NOW, root=tmp_path)
    assert [run.exists() for run in runs[:3]] == [True, False, True]


def test_a_run_that_cannot_be_removed_is_no_reason_not_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = earlier_runs(tmp_path, KEPT_RUNS + 2)

    def refuse(path: Path) -> None:
        if path == runs[0]:
            raise PermissionError(13, "Permission denied", str(path))
        path.joinpath("data").rmdir()
        path.rmdir()

    monkeypatch.setattr("examples.demo.places.shutil.rmtree", refuse)
    assert places_of_run(NOW, root=tmp_path).run.is_dir()
    assert [run.exists() for run in runs[:2]] == [True, False]


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    earlier_runs(tmp_path, KEPT_RUNS + 1)
    places_of_run(NOW, root=tmp_path)
    assert (tmp_path / "notes").exists()


def test_a_path_below_the_current_directory_is_shown_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "a" / "b") == "a/b"
    assert shown_path(tmp_path.parent / "b") == str(tmp_path.parent / "b")
