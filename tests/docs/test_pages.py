"""Every block of every page, run or read."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.databases import empty_database
from tests.docs import unrun
from tests.docs.pages import PAGES, ROOT, Block, blocks, name_of
from tests.docs.printed import matches
from tests.docs.session import Session, bare_environment, commands


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Makes a database when a page names one: most don't."""
    with ExitStack() as made:
        yield lambda: made.enter_context(empty_database(request.getfixturevalue("postgres_server_url")))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_blocks_do_what_the_page_says(path: Path, fresh_database: Callable[[], str]) -> None:
    # Not below pytest's own directory, which each run of pytest closes to the account of the embedded server.
    with TemporaryDirectory(prefix="schedora-docs-") as name:
        work = Path(name) / "work"
        work.mkdir()
        session = Session(work, bare_environment(Path(name), os.environ), fresh_database)
        try:
            for block in blocks(path):
                session.run(block)
        finally:
            session.close()


def test_each_reason_not_to_run_a_command_is_needed() -> None:
    asked = [
        command
        for path in PAGES
        for block in blocks(path)
        if block.kind == "console"
        for command, _ in commands(block)
    ]
    idle = [
        beginning
        for beginning in unrun.COMMANDS
        if not any(f"{command} ".startswith(beginning) for command in asked)
    ]
    assert not idle


def test_each_reason_for_plain_text_is_needed() -> None:
    with_text = {name_of(path) for path in PAGES for block in blocks(path) if block.kind == "text"}
    assert with_text == set(unrun.TEXTS)


def a_block(text: str, kind: str = "console") -> Block:
    return Block(page="page.md", line=1, kind=kind, title=None, text=text)


def test_an_unknown_kind_of_block_fails(tmp_path: Path) -> None:
    session = Session(tmp_path, bare_environment(tmp_path, os.environ), lambda: "")
    with pytest.raises(AssertionError, match=r"page\.md:1: a block of kind 'fortran'"):
        session.run(a_block("", kind="fortran"))
    session.close()


def test_a_command_that_fails_or_prints_something_else_fails(tmp_path: Path) -> None:
    session = Session(tmp_path, bare_environment(tmp_path, os.environ), lambda: "")
    session.run(a_block("$ echo a; (exit 3)  # exits 3\na\n"))
    with pytest.raises(AssertionError, match="ended with 3"):
        session.run(a_block("$ (exit 3)\n"))
    with pytest.raises(AssertionError, match="prints something else"):
        session.run(a_block("$ echo a\nb\n"))
    session.close()


def test_commands_go_on_behind_a_backslash_and_in_quotes_and_print_the_rest() -> None:
    assert commands(a_block("$ a \\\n  b\nc\nd\n$ e\n")) == [("a \\\n  b", "c\nd\n"), ("e", "")]
    assert commands(a_block("$ a 'b\nc'\nd\n")) == [("a 'b\nc'", "d\n")]


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a  \n\n", True),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b c\n", True),
        ("a … c\n", "a b\nc\n", False),
        ("a\n…\nd\n", "a\nb\nc\nd\n", True),
        ("a\n…\nd\n", "a\nd\n", True),
        ("a.\n", "ab\n", False),
    ],
)
def test_an_ellipsis_stands_for_anything(expected: str, printed: str, *, same: bool) -> None:
    assert matches(expected, printed) is same


def test_each_page_is_found() -> None:
    assert {"README.md", "docs/lifecycle.md", "docs/decisions/0001-storage.md"} <= set(map(name_of, PAGES))
    assert all(path.is_relative_to(ROOT) for path in PAGES)
