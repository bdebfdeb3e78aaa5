"""Environments are made once from pinned requirements, here from a package of our own: no registry is asked."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.systems import environments
from benchmarks.systems.environments import EnvironmentUnavailable, environment, interpreter
from packaging.specifiers import SpecifierSet


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where environments are made, with no registry to be asked."""
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path / "environments")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path / "environments"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "peer"
    made.mkdir()
    (made / "about.toml").write_text('title = "Peer"\nstore = "redis"\n')
    return made


def require(folder: Path, text: str) -> None:
    (folder / "requirements.txt").write_text(text)


def test_a_system_that_requires_nothing_runs_on_the_project_s_own_python(folder: Path) -> None:
    assert interpreter(folder) == Path(sys.executable)


def test_an_environment_is_made_once_and_anew_when_its_requirements_change(folder: Path) -> None:
    require(folder, "# nothing yet\n")
    python = interpreter(folder)
    prefix = subprocess.run(
        [python, "-c", "import sys; print(sys.prefix)"], check=True, capture_output=True, text=True
    )
    assert Path(prefix.stdout.strip()) == python.parents[1]
    mark = python.parents[1] / "mark"
    mark.touch()
    assert interpreter(folder) == python
    assert mark.exists()
    require(folder, "# nothing still\n")
    assert interpreter(folder) == python
    assert not mark.exists()


def test_what_cannot_be_had_is_told_in_one_line_and_leaves_nothing(folder: Path, places: Path) -> None:
    require(folder, "no-such-package==1.0\n")
    with pytest.raises(EnvironmentUnavailable, match=r"^peer can't be installed: ERROR: .*no-such-package"):
        interpreter(folder)
    assert list(places.iterdir()) == []


def test_a_python_that_is_not_there_is_told(folder: Path) -> None:
    (folder / "about.toml").write_text('title = "Peer"\nstore = "redis"\nrequires-python = ">=3.99"\n')
    require(folder, "# anything\n")
    with pytest.raises(EnvironmentUnavailable, match=r"^peer needs Python >=3\.99, and none on PATH is$"):
        interpreter(folder)


def test_another_python_is_taken_where_ours_does_not_do(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, other = tmp_path / "shims" / "python3.98", tmp_path / "bin" / "python3.99"
    for program, says in [(broken, "exit 127"), (other, "echo 3.99.1")]:
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{says}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:{other.parent}:/usr/bin:/bin")
    environments._pythons.cache_clear()
    try:
        assert environments._base("peer", SpecifierSet(">=3.98")) == str(other)
    finally:
        environments._pythons.cache_clear()


def test_a_python_is_asked_for_by_its_version(folder: Path) -> None:
    require(folder, "# anything\n")
    ours = f"=={sys.version_info.major}.{sys.version_info.minor}.*"
    assert environment(folder, ours).exists()
