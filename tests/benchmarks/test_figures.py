"""Summing up rounds."""

import pytest
from benchmarks.figures import Figure, percentile


def test_a_figure_is_the_median_with_the_least_and_the_most() -> None:
    assert Figure.of([3.0, 1.0, 9.0]) == Figure(median=3.0, least=1.0, most=9.0)


def test_the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() -> None:
    assert Figure.of([1.0, 2.0, 4.0, 100.0]).median == 3.0


def test_there_is_no_figure_without_a_round() -> None:
    with pytest.raises(ValueError, match="no round"):
        Figure.of([])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.001, 1), (0.0, 1)]
)
def test_a_percentile_is_the_smallest_value_not_below_its_share(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
