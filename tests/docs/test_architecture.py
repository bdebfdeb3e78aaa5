"""``docs/architecture.md``, the decisions and the glossary against the code."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from schedora.adapters.postgres.tables import metadata
from schedora.domain.job_state import JobState
from tests.docs.pages import PAGES, ROOT, name_of, spans, table

PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "src" / "schedora"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))

PLACES = {
    "src/": ROOT, "tests/": ROOT, "docs/": ROOT, "examples/": ROOT, "benchmarks/": ROOT,
    "domain/": PACKAGE, "application/": PACKAGE, "adapters/": PACKAGE, "entrypoints/": PACKAGE,
    "sql/": PACKAGE / "adapters" / "postgres",
}  # fmt: skip
"""What a path on a page begins with, and where it begins."""

MEDIA_TYPES = ("application/json", "application/problem+json")


def paths(page: Path) -> Iterator[tuple[int, Path]]:
    for line, span in spans(page):
        for beginning, place in PLACES.items():
            # Media types look like paths, too.
            if span.startswith(beginning) and " " not in span and not span.startswith(MEDIA_TYPES):
                yield line, place / span


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_are_there(page: Path) -> None:
    missing = [f"{name_of(page)}:{line}: {path}" for line, path in paths(page) if not path.exists()]
    assert not missing


def test_every_table_is_told() -> None:
    assert {row["table"] for row in table(PAGE, "table")} == set(metadata.tables)


def test_every_layer_is_told_from_the_top() -> None:
    told = [row["folder"].rpartition("/")[2] for row in table(PAGE, "folder")]
    assert told == ["entrypoints", "adapters", "application", "diagnosis", "domain"]


def test_every_decision_is_told_in_order() -> None:
    told = [row["decision"] for row in table(PAGE, "decision")]
    assert [line.partition(".")[0] for line in told] == [str(int(path.name[:4])) for path in DECISIONS]


@pytest.mark.parametrize("path", DECISIONS[1:], ids=name_of)
def test_each_decision_has_its_context_and_its_price(path: Path) -> None:
    headings = [line for line in path.read_text().splitlines() if line.startswith("## ")]
    assert headings == ["## Context", "## Decision", "## Consequences"]


def test_terms_are_told_once_and_in_order() -> None:
    terms = [row["term"] for row in table(ROOT / "docs" / "glossary.md", "term")]
    assert terms == sorted(set(terms))


def test_states_are_written_as_they_are() -> None:
    """In running text a state stands in capitals; a misspelt one would stand for nothing."""
    for page in PAGES:
        for wrong in ("CANCELLED", "SUCCEEDED", "SUCCESSFUL", "COMPLETED", "FAILURE"):
            assert wrong not in JobState.__members__
            assert wrong not in page.read_text(), f"{name_of(page)} says {wrong}"
