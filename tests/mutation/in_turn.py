"""Tests in the order in which they are given."""

from collections.abc import Sequence
from itertools import pairwise

import pytest


def run_tests(items: Sequence[pytest.Item]) -> None:
    for item, following in pairwise([*items, None]):
        assert item is not None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
