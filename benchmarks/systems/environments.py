"""A virtual environment for each system that is not ours, made from its pinned requirements on first use."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENTS = Path(__file__).parents[2] / ".bench"
_REQUIREMENTS = "requirements.txt"


class EnvironmentUnavailable(Exception):
    """A system's environment could not be made. The message names the system and says why, in one line."""


def interpreter(folder: Path) -> Path:
    """The Python of the system kept in `folder`: the project's own where it has no requirements.

    Raises EnvironmentUnavailable.
    """
    if not (folder / _REQUIREMENTS).exists():
        return Path(sys.executable)
    about = tomllib.loads((folder / "about.toml").read_text(encoding="utf-8"))
    return environment(folder, about.get("requires-python", ""))


def environment(folder: Path, requires_python: str) -> Path:
    """The Python of an environment with the requirements in `folder`: made on first use, and anew when they change.

    Raises EnvironmentUnavailable when no Python on this machine is as required, or the packages can't be had.
    """
    place = ENVIRONMENTS / folder.name
    if not _holds(place, folder):
        _make(place, folder, _base(folder.name, SpecifierSet(requires_python)))
    return place / "bin" / "python"


def _holds(place: Path, folder: Path) -> bool:
    kept = place / _REQUIREMENTS
    return kept.exists() and kept.read_bytes() == (folder / _REQUIREMENTS).read_bytes()


def _make(place: Path, folder: Path, base: str) -> None:
    """Beside its place, and moved there once whole: to end it in the middle, or to make it twice, does no harm."""
    print(f"Setting up {place}: once …", file=sys.stderr, flush=True)
    ENVIRONMENTS.mkdir(exist_ok=True)
    building = Path(mkdtemp(prefix=f"{folder.name}-", dir=ENVIRONMENTS))
    install = [
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--requirement", str(folder / _REQUIREMENTS)),
    ]
    try:
        _run(folder.name, [base, "-m", "venv", str(building)])
        _run(folder.name, [str(building / "bin" / "python"), *install])
        shutil.copy(folder / _REQUIREMENTS, building)
        shutil.rmtree(place, ignore_errors=True)
        building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _run(name: str, command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout.strip().splitlines()
        errors = [line for line in said if line.startswith("ERROR:")] or said
        raise EnvironmentUnavailable(f"{name} can't be installed: {' '.join(errors[-1:])}")


def _base(name: str, required: SpecifierSet) -> str:
    """Ours if it is as required, else the oldest that is."""
    fitting = [(version, python) for version, python in _pythons() if version in required]
    if not fitting:
        raise EnvironmentUnavailable(f"{name} needs Python {required}, and none on PATH is")
    ours = [python for _, python in fitting if python == sys.executable]
    return ours[0] if ours else min(fitting)[1]


@cache
def _pythons() -> tuple[tuple[Version, str], ...]:
    return tuple(_working())


def _working() -> Iterator[tuple[Version, str]]:
    """Each that starts and can make environments, with its version."""
    yield Version(platform.python_version()), sys.executable
    for directory in os.get_exec_path():
        for python in sorted(Path(directory).glob("python3.*")):
            if not python.name.removeprefix("python3.").isdigit():
                continue
            asked = subprocess.run(
                [python, "-c", "import ensurepip, platform; print(platform.python_version())"],
                capture_output=True,
                text=True,
                check=False,
            )
            if asked.returncode == 0:
                yield Version(asked.stdout.strip()), str(python)
