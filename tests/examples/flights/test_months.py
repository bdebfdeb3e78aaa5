"""Cutting the year into months."""

from pathlib import Path

import pytest
from examples.flights.months import MONTHS, month_file, month_lines, split_by_month

HEADER = "year,month,day\n"


def test_each_line_goes_to_its_month_with_the_header_on_top(tmp_path: Path) -> None:
    lines = [HEADER, "2013,2,1\n", "2013,12,31\n", "2013,2,2\n"]
    flights = split_by_month(lines, tmp_path)
    assert flights == {month: {2: 2, 12: 1}.get(month, 0) for month in MONTHS}
    assert list(month_lines(tmp_path, 2)) == [HEADER, "2013,2,1\n", "2013,2,2\n"]
    assert list(month_lines(tmp_path, 12)) == [HEADER, "2013,12,31\n"]
    assert list(month_lines(tmp_path, 7)) == [HEADER]


def test_a_split_that_is_cut_short_leaves_no_month_to_be_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        split_by_month([HEADER, "2013,1,1\n", "2013,one,1\n"], tmp_path)
    assert not any(month_file(tmp_path, month).exists() for month in MONTHS)


def test_a_split_that_is_run_again_gives_the_same(tmp_path: Path) -> None:
    lines = [HEADER, "2013,3,1\n"]
    assert split_by_month(lines, tmp_path) == split_by_month(lines, tmp_path)
    assert list(month_lines(tmp_path, 3)) == lines
