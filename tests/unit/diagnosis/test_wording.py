"""Figures and lists as messages tell them."""

from datetime import timedelta

import pytest

from schedora.diagnosis.wording import (
    ERROR_LENGTH_MAX,
    ago,
    counted,
    error_line,
    in_words,
    listed,
    plural,
    some_of,
)
from tests.builders import HOUR, NOON


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.34, "0.3 s"),
        (9.99, "9.9 s"),
        (10.5, "10 s"),
        (41.9, "41 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
        (200_000_000, "2,314 days"),
    ],
)
def test_a_span_has_the_unit_that_tells_most(seconds: float, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_an_instant_is_told_by_how_long_ago_it_was() -> None:
    assert ago(NOON + 5 * HOUR, NOON) == "5 h ago"


@pytest.mark.parametrize(("count", "words"), [(0, "0 jobs"), (1, "1 job"), (1_204, "1,204 jobs")])
def test_things_are_counted(count: int, words: str) -> None:
    assert counted(count, "job") == words


def test_a_plural_of_its_own() -> None:
    assert [plural(count, "is", "are") for count in (1, 2)] == ["is", "are"]
    assert counted(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    ("names", "words"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed(names: list[str], words: str) -> None:
    assert listed(names) == words


def test_an_error_is_one_line_with_an_end() -> None:
    assert error_line("Timeout", None) == "Timeout"
    assert error_line("Timeout", "") == "Timeout"
    assert error_line("Oops", "it\n  failed") == "Oops: it failed"
    fits = "x" * (ERROR_LENGTH_MAX - len("E: "))
    assert error_line("E", fits) == f"E: {fits}"
    assert error_line("E", f"{fits}x") == f"E: {fits[:-1]}…"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("a", "a"),
        ("abc", "a, b and c"),
        ("abcd", "a, b, c and 1 more"),
        ("a" * 1_003, "a, a, a and 1,000 more"),
    ],
)
def test_some_of_many(names: str, text: str) -> None:
    assert some_of(names) == text
