import math

import pytest

from schedora.entrypoints.cli.top import figures


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0"), (999, "999"), (9_999, "9,999"), (12_345, "12.3k"), (123_456, "123k"), (999_499, "999k"),
     (999_500, "1.0M"), (4_512_000, "4.5M"), (2e9, "2.0G"), (1e13, "1e+13")],
)  # fmt: skip
def test_counts_stay_short(number: float, shown: str) -> None:
    assert figures.count(number) == shown


@pytest.mark.parametrize(
    ("per_second", "shown"),
    [(None, "-"), (0, "0"), (0.01, "<0.1"), (0.5, "0.5"), (9.94, "9.9"), (9.96, "10"), (1_023.4, "1,023")],
)
def test_rates_are_no_more_exact_than_they_are_known(per_second: float | None, shown: str) -> None:
    assert figures.rate(per_second) == shown


@pytest.mark.parametrize(
    ("part", "shown"), [(None, "-"), (0, "0%"), (0.001, "<1%"), (0.5, "50%"), (0.999, ">99%"), (1, "100%")]
)
def test_few_is_not_none_and_most_is_not_all(part: float | None, shown: str) -> None:
    assert figures.share(part) == shown


def test_lengths() -> None:
    assert [figures.length(seconds) for seconds in (None, 0.0123, 65, math.inf)] == [
        "-",
        "12ms",
        "1m05s",
        "∞",
    ]


def test_percents() -> None:
    assert [figures.percent(number) for number in (None, 12.6)] == ["-", "13%"]


def test_a_curve_is_as_high_as_its_largest_value() -> None:
    assert figures.curve([0, 1, 5, 10], 4) == "▁▂▅█"


def test_a_curve_stands_at_the_right() -> None:
    assert figures.curve([10], 4) == "   █"
    assert figures.curve([1, 2, 3, 10], 1) == "█"


def test_a_curve_has_holes_where_nothing_is_known() -> None:
    assert figures.curve([10, None, 10], 3) == "█ █"
    assert figures.curve([], 3) == "   "


def test_the_least_is_more_than_nothing() -> None:
    assert figures.curve([0, 0.001, 1000], 3) == "▁▂█"
    assert figures.curve([0, 0], 2) == "▁▁"
