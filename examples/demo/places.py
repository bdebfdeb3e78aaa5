"""Where a run of the demo keeps its things."""

import shutil
from datetime import datetime
from itertools import count
from pathlib import Path

import psutil
from attrs import frozen

KEPT_RUNS = 3
"""How many earlier runs stay on disk; each takes about a hundred megabytes."""


@frozen(kw_only=True)
class Places:
    """The directories and files of one run."""

    run: Path

    @property
    def data(self) -> Path:
        """The database."""
        return self.run / "data"

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


def places_of_run(began: datetime, *, root: Path) -> Places:
    """Return the places of a run that begins now, its directories made; the oldest runs make room.

    Each run has its own places, also when several begin at once. Raises OSError when nothing can be written.
    """
    _make_room(root)
    places = Places(run=_new_directory(root, f"{began:%Y%m%d-%H%M%S}"))
    for directory in (places.logs, places.invoices, places.mails, places.months):
        directory.mkdir()
    return places


def shown_path(path: Path) -> str:
    """Return the path as a reader can use it: as short as the current directory allows."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _new_directory(root: Path, name: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        directory = root / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir()
        except FileExistsError:
            continue  # another run began in the same second
        return directory.resolve()
    raise AssertionError("the numbers do not end")


def _make_room(root: Path) -> None:
    runs = sorted(path.resolve() for path in root.glob("2*-*") if path.is_dir())
    for run in runs[:-KEPT_RUNS]:
        try:
            if not _database_runs_in(run):
                shutil.rmtree(run)
        except OSError:
            continue  # another user's, or another demo makes room too: no reason not to begin


def _database_runs_in(run: Path) -> bool:
    try:
        lines = (run / "data" / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return False
    return not lines or psutil.pid_exists(int(lines[0]))  # empty: it is just being written
