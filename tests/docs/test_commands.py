"""Commands within lines, and those that no test runs: they name what there is."""

import re
import tomllib
from typing import Any

import pytest
import typer

from schedora import __version__
from schedora.entrypoints.cli.main import TALK, app
from tests.docs import unrun
from tests.docs.pages import PAGES, ROOT, blocks, name_of, spans
from tests.docs.session import commands

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

UNRUN = [
    (block.place, command)
    for path in PAGES
    for block in blocks(path)
    if block.kind == "console"
    for command, _ in commands(block)
    if unrun.reason(command) is not None
]
WITHIN_LINES = [(f"{name_of(path)}:{line}", span) for path in PAGES for line, span in spans(path)]


def test_make_is_asked_for_targets_that_there_are() -> None:
    asked = [(place, text.split()[1]) for place, text in UNRUN + WITHIN_LINES if text.startswith("make ")]
    assert [(place, target) for place, target in asked if target not in TARGETS] == []


def test_schedora_is_asked_for_commands_that_there_are() -> None:
    group: Any = typer.main.get_command(app)
    for place, text in WITHIN_LINES:
        if not text.startswith("schedora ") or "=" in text.split()[1]:
            continue
        words = [word for word in text.split()[1:] if re.fullmatch(r"[a-z]+", word)]
        assert words[0] in group.commands, f"{place}: {text}"
        inner = getattr(group.commands[words[0]], "commands", None)
        if inner is not None and len(words) > 1:
            assert words[1] in inner, f"{place}: {text}"
        options = set(re.findall(r"--[a-z-]+", text))
        known = group.commands[words[0]] if inner is None or len(words) == 1 else inner[words[1]]
        assert options <= {name for parameter in known.params for name in parameter.opts}, f"{place}: {text}"


def test_pip_is_asked_for_what_there_is() -> None:
    installs = [command for _, command in UNRUN if command.startswith("pip install")]
    assert installs
    for command in installs:
        assert (ROOT / re.findall(r"-c (\S+)", command)[0]).exists()
        assert set(re.findall(r"\[(\w+)\]", command)) <= set(PROJECT["optional-dependencies"])


def test_pytest_is_asked_for_tests_that_there_are() -> None:
    asked = [command.split()[1] for _, command in UNRUN if command.startswith(".venv/bin/pytest")]
    assert asked
    assert all((ROOT / place).exists() for place in asked)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_versions_of_python_are_those_of_the_project(page: str) -> None:
    least, beyond = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert f"Python 3.{least} to 3.{int(beyond) - 1}" in (ROOT / page).read_text()


def test_the_changes_tell_this_version() -> None:
    assert PROJECT["version"] == __version__
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_command_that_talks_to_the_api_is_named_there() -> None:
    [told] = re.findall(
        r"^(`schedora jobs`.*?) talk to this",
        (ROOT / "docs" / "api.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    group: Any = typer.main.get_command(app)
    talking = {name for name, command in group.commands.items() if command.rich_help_panel == TALK}
    assert {name.removeprefix("schedora ") for name in re.findall(r"`([^`]+)`", told)} == talking
