"""Mutants of one package: made and tried by mutmut, in a directory of their own, and counted."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import chdir
from pathlib import Path

from attrs import frozen
from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.mutation.packages import ROOT, SOURCE, Package

FOUND = frozenset({"killed", "timeout"})
"""One that never ends is found, too: its tests hang."""


@frozen
class Mutant:
    """``name`` is mutmut's; ``status`` one of its words."""

    name: str
    status: str

    @property
    def module(self) -> str:
        """``domain/checks/claim.py``."""
        return f"{self._parts[0].partition('.')[2].replace('.', '/')}.py"

    @property
    def function(self) -> str:
        """``ClaimPlan.findings``."""
        return self._parts[1].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")

    def is_of(self, tests: str) -> bool:
        """Whether its module is what the tests in a file of this name are for: ``test_worker_drain.py``."""
        return tests.startswith(f"test_{Path(self.module).stem}")

    @property
    def _parts(self) -> tuple[str, str]:
        module, _, mangled = self.name.rpartition(".")
        return module, mangled.partition("__mutmut_")[0]


class Workshop:
    """Where mutants of one package are made. It is built from links to the repository, for mutmut has one configuration
    a directory, and one set of tests for all that it mutates there.
    """

    def __init__(self, package: Package) -> None:
        self._package = package
        self._place = ROOT / "mutants" / package.name

    def run(self, *, children: int, again: bool) -> None:
        """Make all mutants and try each; with ``again`` those of changed functions, and those that no test has found."""
        if not again:
            shutil.rmtree(self._place, ignore_errors=True)
        self._set_up()
        at_once = ["--max-children", str(children)]
        self._mutmut(["run", *at_once])
        if again and (left := [one.name for one in self.mutants() if one.status not in FOUND]):
            self._mutmut(["run", *at_once, *left])

    def mutants(self) -> list[Mutant]:
        lines = self._mutmut(["results", "--all", "true"], quiet=True).splitlines()
        return [Mutant(*line.strip().rsplit(": ", 1)) for line in lines if "__mutmut_" in line]

    def changes(self, mutants: Iterable[Mutant]) -> str:
        """What each of these changes, as a diff."""
        with chdir(self._place):
            return "\n".join(
                f"# {one.name}: {one.status}\n{get_diff_for_mutant(one.name, path=SOURCE / one.module)}\n"
                for one in mutants
            )

    def _set_up(self) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        for name in ("src", "tests"):
            if not (self._place / name).exists():
                (self._place / name).symlink_to(ROOT / name)
        (self._place / "pyproject.toml").write_text(configured(self._package))
        # What mutmut has copied there it neither removes nor asks again.
        shutil.rmtree(self._place / "mutants" / "tests", ignore_errors=True)
        (self._place / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)

    def _mutmut(self, arguments: Sequence[str], *, quiet: bool = False) -> str:
        ran = subprocess.run(
            [Path(sys.executable).with_name("mutmut"), *arguments],
            cwd=self._place,
            env=os.environ | {"COLUMNS": "120"},
            text=True,
            stdout=subprocess.PIPE if quiet else None,
            check=True,
        )
        return ran.stdout or ""


def configured(package: Package) -> str:
    """The project's file with what mutmut is to mutate here and how it is tried, in its section, which is the last one."""
    text = (ROOT / "pyproject.toml").read_text() + (
        f'only_mutate = ["{SOURCE}/{package.folder}/*.py"]\n'
        f'pytest_add_cli_args_test_selection = ["{package.tests}"]\n'
    )
    assert "only_mutate" in tomllib.loads(text)["tool"]["mutmut"]
    return text


def counted(mutants: Iterable[Mutant]) -> Counter[str]:
    return Counter(one.status for one in mutants)


def score(mutants: Sequence[Mutant]) -> float:
    """The part of them that tests have found. Where there are none, nothing was tried, and nothing found."""
    return sum(one.status in FOUND for one in mutants) / len(mutants) if mutants else 0.0
