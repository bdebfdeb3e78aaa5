"""``docs/handlers.md`` names what there is, all of it."""

import re
from typing import get_type_hints

from schedora import JobContext
from schedora.application.handlers import Executor
from schedora.entrypoints.sdk.builtin import functions
from schedora.entrypoints.sdk.options import HandlerOptions
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "handlers.md"


def test_the_context_is_told_as_it_is() -> None:
    told = {re.match(r"\w+", row["name"])[0] for row in table(PAGE, "name")}  # type: ignore[index] # a name each
    public = {name for name in dir(JobContext) if not name.startswith("_")}
    assert told == public | {"job", "upstream"}


def test_the_executors_are_told_as_they_are() -> None:
    assert [row["executor"] for row in table(PAGE, "executor")] == list(Executor)


def test_every_option_of_a_handler_is_named() -> None:
    text = PAGE.read_text()
    assert [name for name in get_type_hints(HandlerOptions) if f"`{name}`" not in text] == []


async def _never(_span: object) -> None: ...


def test_every_built_in_handler_is_named() -> None:
    text = PAGE.read_text()
    assert [name for name in functions(_never) if f"`{name}`" not in text] == []
