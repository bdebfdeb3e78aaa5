"""``docs/top.md`` against the live view."""

import re

from schedora.entrypoints.cli.top import sheets
from schedora.entrypoints.cli.top.questions import KEYS
from schedora.entrypoints.cli.top.watcher import CALM_PER_SECOND, TOLD_MAX
from tests.docs.pages import ROOT, blocks, table

PAGE = ROOT / "docs" / "top.md"
[PICTURE] = [block.text for block in blocks(PAGE) if block.kind == "text"]


def test_the_keys_are_those_of_the_view() -> None:
    told = [(row["key"], row["does"]) for row in table(PAGE, "key")]
    assert [row for row in told if row[0] != "?"] == list(KEYS)


def test_the_picture_has_the_columns_of_the_view() -> None:
    lines = PICTURE.splitlines()
    for columns in (sheets.QUEUES, sheets.WORKERS, sheets.TYPES, sheets.FAILURES):
        titles = [column.title for column in columns if column.title]
        [heading] = [line for line in lines if re.split(r" {2,}", line.strip())[0] == titles[0]]
        assert re.split(r" {2,}", heading.strip()) == titles


def test_the_picture_fits_into_a_small_terminal() -> None:
    lines = PICTURE.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_the_limits_are_told() -> None:
    text = PAGE.read_text()
    assert f"above {CALM_PER_SECOND:,.0f} jobs/s" in text
    assert "Of more than fifty" in text
    assert TOLD_MAX == 50
