"""What ``docs/reliability.md`` tells of the torture, against the torture."""

import re
from typing import Any

import typer

from schedora.entrypoints.cli.main import app
from schedora_torture import checker
from schedora_torture.faults import IN_WORDS
from tests.docs.pages import ROOT, blocks, said_of, table

PAGE = ROOT / "docs" / "reliability.md"


def test_every_fault_is_told_in_the_same_words() -> None:
    told = {row["fault"]: row["what it is"] for row in table(PAGE, "fault")}
    assert told == {kind.value: words for kind, words in IN_WORDS.items()}


def test_every_promise_is_told_as_the_code_says_it() -> None:
    assert {row["at the end"]: row["what holds"] for row in table(PAGE, "at the end")} == said_of(
        checker.Promise
    )


def test_its_options_are_those_that_there_are() -> None:
    group: Any = typer.main.get_command(app)
    known = {name for parameter in group.commands["torture"].params for name in parameter.opts}
    commands = [
        line
        for block in blocks(PAGE)
        for line in block.text.splitlines()
        if line.startswith("$ schedora torture")
    ]
    assert commands
    assert set(re.findall(r"--[a-z-]+", " ".join(commands))) <= known
