"""Where the mutants of one package are made, by mutmut, and tried."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import chdir, redirect_stdout
from pathlib import Path

from mutmut.__main__ import create_mutants
from mutmut.configuration import reset_config
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.utils.file_utils import copy_src_dir

from tests.mutation.mutants import Mutant
from tests.mutation.packages import ROOT, SOURCE, Package
from tests.mutation.results import Results

ARGUMENTS = (
    *("-p", "tests.mutation.plugin"),
    # What one run finds the next must find: examples by the same seed, none remembered.
    *("--hypothesis-seed=0", "-p", "no:cacheprovider"),
    # Files would be shared by all forks.
    *("--capture=sys", "--tb=short", "-q"),
)


class MutationFailed(Exception):
    """Nothing can be said of the mutants."""


class Workshop:
    """A directory of its own, for mutmut has one configuration a directory."""

    def __init__(self, package: Package, root: Path = ROOT) -> None:
        self._package = package
        self._root = root
        self._place = root / "mutants" / package.name
        self._made = self._place / "mutants"
        """Where mutmut puts them."""

    def run(self, *, children: int, again: bool) -> None:
        """Make all mutants and try each. With ``again`` what was found stays so, unless its function has changed."""
        if not again:
            shutil.rmtree(self._place, ignore_errors=True)
        self._make(children)
        results = Results(self._made)
        results.forget(lambda one: not one.is_found)
        results.save()
        self._try(children)

    def mutants(self) -> list[Mutant]:
        return list(Results(self._made))

    def changes(self, mutants: Iterable[Mutant]) -> str:
        """What each of these changes, as a diff."""
        with chdir(self._place):
            return "\n".join(
                f"# {one.name}: {one.status}\n{get_diff_for_mutant(one.name, path=SOURCE / one.module)}\n"
                for one in mutants
            )

    def _make(self, children: int) -> None:
        self._place.mkdir(parents=True, exist_ok=True)
        if not (self._place / "src").exists():
            (self._place / "src").symlink_to(self._root / "src")
        (self._place / "pyproject.toml").write_text(configured(self._package))
        self._clear_away()
        reset_config()
        try:
            with chdir(self._place), redirect_stdout(io.StringIO()):
                copy_src_dir()
                create_mutants(children)
        except BaseException as error:
            shutil.rmtree(
                self._made, ignore_errors=True
            )  # a file that is half written looks like one that is whole
            if isinstance(error, Exception):
                raise MutationFailed(f"mutmut can't make them: {error}") from error
            raise

    def _clear_away(self) -> None:
        """What was made of files that there are no more."""
        for path in list(self._made.rglob("*.py")):
            if not (self._place / path.relative_to(self._made)).exists():
                for one in path.parent.glob(f"{path.name}*"):
                    one.unlink()

    def _try(self, children: int) -> None:
        ours = [f"--mutants={self._place}", f"--children={children}", str(self._root / self._package.tests)]
        paths = os.pathsep.join(map(str, (self._made / "src", ROOT)))
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *ARGUMENTS, *ours],
            cwd=self._root,
            env=os.environ | {"PYTHONPATH": paths},
            text=True,
            stdout=subprocess.PIPE,
        ) as session:
            try:
                told, _ = session.communicate()
            except KeyboardInterrupt:
                session.communicate()  # it has been told as well, and writes down what it knows
                raise
        if session.returncode:
            raise MutationFailed(f"{told}\npytest ended with {session.returncode}")


def configured(package: Package) -> str:
    """What mutmut reads."""
    return (
        f'[tool.mutmut]\nsource_paths = ["src"]\nonly_mutate = ["{SOURCE}/{package.folder}/{package.only}"]\n'
    )
