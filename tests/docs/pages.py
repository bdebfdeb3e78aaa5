"""The pages of the documentation, as these tests read them.

A fenced block says with its info string what is to be done with it::

    ```python title="orders.py"     written to that file, in the page's own directory
    ```python                       run there as a program
    ```output                       what the block before must have printed
    ```console                      lines after `$ ` are run by one shell, the lines below are what they print
    ```json, yaml, env              read as what they are; with a title also written to that file
    ```sql                          run on the page's database
    ```mermaid                      a state diagram, each line read
    ```text                         neither run nor read: only where ``unrun.py`` says why

In what must have been printed, ``…`` stands for anything, and alone on a line for any number of lines. A command
ends with status 0 unless a comment behind it says ``# exits 1``.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any

from attrs import frozen
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_TITLE = re.compile(r'title="([^"]+)"')


@frozen(kw_only=True)
class Block:
    """One fenced block; ``line`` is where it begins."""

    page: str
    line: int
    kind: str
    title: str | None
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@frozen(kw_only=True)
class Link:
    page: str
    line: int
    target: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def read_yaml(text: str) -> Any:
    """The document in ``text``. Raises for what is no YAML."""
    yaml: Any = importlib.import_module("yaml")  # it has no types
    return yaml.safe_load(text)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(path: Path) -> list[Block]:
    return [_block(path, token) for token in _tokens(path) if token.type in {"fence", "code_block"}]


def links(path: Path) -> list[Link]:
    """Every link and every picture."""
    found = []
    for token, line in _inline(path):
        target = token.attrs.get("href") or token.attrs.get("src")
        if target is not None:
            found.append(Link(page=name_of(path), line=line, target=str(target)))
    return found


def spans(path: Path) -> list[tuple[int, str]]:
    """Every piece of code within a line, and where it is."""
    return [(line, token.content) for token, line in _inline(path) if token.type == "code_inline"]


def anchors(path: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    tokens = _tokens(path)
    made: set[str] = set()
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in content.children or ())
            made.add(re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
    return made


def table(path: Path, first_column: str, *, nth: int = 0) -> list[dict[str, str]]:
    """The rows of the ``nth`` table that begins with a column of this name; code spans without their marks."""
    found = [(header, rows) for header, rows in _tables(path) if header[0] == first_column]
    assert len(found) > nth, f"{name_of(path)} has no table {nth} that begins with {first_column!r}"
    header, rows = found[nth]
    return [dict(zip(header, row, strict=True)) for row in rows]


def said_of(names: type[StrEnum]) -> dict[str, str]:
    """What the code says of each of these names, in the text beneath it; code spans without their marks."""
    body = ast.parse(inspect.getsource(names)).body[0]
    assert isinstance(body, ast.ClassDef)
    said = {
        ast.literal_eval(name.value): " ".join(ast.literal_eval(text.value).split()).replace("``", "")
        for name, text in pairwise(body.body)
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr)
    }
    assert said.keys() == set(names), "each has a text"
    return said


def _tables(path: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    rows: list[list[str]] = []
    tokens = _tokens(path)
    for token, content in zip(tokens, [*tokens[1:], None], strict=True):
        match token.type:
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "th_open" | "td_open" if content is not None:
                rows[-1].append("".join(child.content for child in content.children or ()))
            case "table_close":
                yield rows[0], rows[1:]


def _block(path: Path, token: Token) -> Block:
    kind, _, more = token.info.strip().partition(" ")
    title = _TITLE.search(more)
    return Block(
        page=name_of(path),
        line=(token.map or [0])[0] + 1,
        kind=kind,
        title=title.group(1) if title else None,
        text=token.content,
    )


def _inline(path: Path) -> Iterator[tuple[Token, int]]:
    for token in _tokens(path):
        for child in token.children or ():
            yield child, (token.map or [0])[0] + 1


def _tokens(path: Path) -> list[Any]:
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))
