"""What ``schedora`` offers by name, and what it costs to import."""

import ast
import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest

import schedora
import schedora.testing

SOURCE = Path(schedora.__file__)
DEAR = {
    "httpx",
    "pydantic",
    "sqlalchemy",
    "asyncpg",
    "fastapi",
    "rich",
    "typer",
    "structlog",
    "cattrs",
    "orjson",
}
"""Packages that take their time, or are not needed by everybody."""


def imported(code: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after ``code``."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {name.partition(".")[0] for name in told.stdout.split()}


def test_the_table_of_homes_is_that_of_the_imports() -> None:
    [checked] = [
        node
        for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    homes = {
        str(node.module): tuple(name.name for name in node.names)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
    }
    assert homes == schedora._HOMES


def test_every_public_name_has_one_home() -> None:
    names = [name for names in schedora._HOMES.values() for name in names]
    assert sorted([*names, "__version__"]) == sorted(schedora.__all__)
    for home, own in schedora._HOMES.items():
        for name in own:
            assert getattr(schedora, name) is getattr(importlib.import_module(home), name)


def test_a_star_brings_every_public_name() -> None:
    brought: dict[str, object] = {}
    exec("from schedora import *", brought)
    assert set(schedora.__all__) <= brought.keys()
    assert brought["Schedora"] is schedora.Schedora


def test_the_names_of_the_contract_are_public() -> None:
    for name in (
        "Schedora",
        "JobContext",
        "Retry",
        "Discard",
        "Snooze",
        "SchedoraClient",
        "AsyncSchedoraClient",
    ):
        assert name in schedora.__all__
    assert schedora.testing.__all__ == ["MemoryScheduler", "in_memory"]


@pytest.mark.parametrize("name", [name for name in schedora.__all__ if name != "__version__"])
def test_every_public_name_says_what_it_is(name: str) -> None:
    told = inspect.getdoc(vars(schedora).get(name) or getattr(schedora, name))
    assert told
    assert not told.startswith(f"{name}("), "made by a decorator"


@pytest.mark.parametrize("kind", [schedora.Schedora, schedora.Workflow, schedora.WorkflowRun, schedora.JobDefinition,
                                  schedora.JobContext, schedora.testing.MemoryScheduler])  # fmt: skip
def test_every_public_method_says_what_it_does(kind: type) -> None:
    silent = [
        name
        for name, member in vars(kind).items()
        if not name.startswith("_") and inspect.isfunction(member) and not inspect.getdoc(member)
    ]
    assert silent == []


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(AttributeError, match="module 'schedora' has no attribute 'Shedora'"):
        schedora.Shedora  # noqa: B018 - asking is the point
    with pytest.raises(ImportError, match="Shedora"):
        exec("from schedora import Shedora")


def test_completion_knows_the_names_before_their_first_use() -> None:
    assert set(schedora.__all__) <= set(dir(schedora))


def test_importing_the_package_loads_nothing_else() -> None:
    assert not DEAR & imported("import schedora")


def test_an_app_loads_neither_drivers_nor_http() -> None:
    loaded = imported(
        "from schedora import Schedora\napp = Schedora()\n@app.job('a')\ndef a(b: int) -> int: ..."
    )
    assert not {"sqlalchemy", "asyncpg", "fastapi", "uvicorn", "httpx", "typer"} & loaded


def test_a_client_loads_neither_drivers_nor_the_api() -> None:
    loaded = imported("from schedora import SchedoraClient\nSchedoraClient('http://localhost').close()")
    assert not {"sqlalchemy", "asyncpg", "fastapi", "uvicorn", "typer"} & loaded


def test_the_command_loads_what_its_help_needs_and_no_more() -> None:
    loaded = imported("import schedora.entrypoints.cli.main")
    assert not DEAR - {"typer", "rich"} & loaded


def test_type_checkers_find_the_types() -> None:
    assert files("schedora").joinpath("py.typed").is_file()


def test_the_version_is_that_of_the_package() -> None:
    assert schedora.__version__ == version("schedora")
