"""Where a run of the demo keeps its things."""

import shutil
from datetime import datetime
from pathlib import Path

import psutil
from attrs import frozen

KEPT_RUNS = 3
"""How many earlier runs stay on disk; each takes some hundred megabytes."""


@frozen(kw_only=True)
class Places:
    """The directories and files of one run."""

    run: Path
    data: Path

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.run / "logs"

    @property
    def invoices(self) -> Path:
        """One page an order."""
        return self.run / "invoices"

    @property
    def mails(self) -> Path:
        """One .eml file a mail."""
        return self.run / "mails"

    @property
    def months(self) -> Path:
        """The flights, one file a month."""
        return self.run / "flights"

    @property
    def report(self) -> Path:
        """The page about the flights."""
        return self.run / "flights-report.html"


def places_of_run(began: datetime, *, root: Path, data_dir: Path | None) -> Places:
    """Return the places of a run that begins now, its directories made; the oldest runs make room.

    Without `data_dir` the run gets a data directory of its own.
    """
    _make_room(root, needed=data_dir)
    run = root / f"{began:%Y%m%d-%H%M%S}"
    places = Places(run=run.resolve(), data=(data_dir or run / "data").resolve())
    for directory in (places.logs, places.invoices, places.mails, places.months):
        directory.mkdir(parents=True, exist_ok=True)
    return places


def _make_room(root: Path, *, needed: Path | None) -> None:
    runs = sorted(path.resolve() for path in root.glob("2*-*") if path.is_dir())
    for run in runs[:-KEPT_RUNS]:
        holds_needed = needed is not None and needed.resolve().is_relative_to(run)
        if not holds_needed and not _database_runs_in(run):
            shutil.rmtree(run)


def _database_runs_in(run: Path) -> bool:
    pid_file = run / "data" / "postgres" / "postmaster.pid"
    if not pid_file.exists():
        return False
    return psutil.pid_exists(int(pid_file.read_text(encoding="utf-8").split()[0]))
