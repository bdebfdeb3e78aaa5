"""``docs/logs.md`` tells the bounds and the names that there are."""

import re

from schedora.application.telemetry.redaction import SECRET_NAMES
from schedora.application.telemetry.repetition import SPAN_SECONDS, TOLD_MAX
from schedora.domain.run_log import LINE_LENGTH_MAX, LINES_LENGTH_MAX, LINES_MAX, RUNS_MAX
from tests.docs.pages import ROOT

PAGE = " ".join((ROOT / "docs" / "logs.md").read_text().split())


def test_the_names_of_secrets_are_told_as_they_are() -> None:
    told = re.search(r"joined in any way: (.*?); and those of", PAGE)
    assert told is not None
    assert re.findall(r"`([a-z ]+)`", told[1]) == list(SECRET_NAMES)


def test_what_is_kept_is_told_as_it_is() -> None:
    assert (
        f"the last {LINES_MAX} lines, or {LINES_LENGTH_MAX:,} characters; of each job the last {RUNS_MAX} runs"
        in PAGE
    )
    assert f"A line of more than {LINE_LENGTH_MAX:,} characters" in PAGE


def test_what_repeats_itself_is_told_as_it_is() -> None:
    assert (TOLD_MAX, SPAN_SECONDS) == (20, 10)
    assert "a process writes 20 in ten seconds, and then one" in PAGE
