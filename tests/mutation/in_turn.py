"""Tests in the order in which they are given."""

import gc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from _pytest.threadexception import collect_thread_exception
from _pytest.unraisableexception import collect_unraisable


def run_tests(items: Sequence[pytest.Item]) -> None:
    """Raises what nobody has heard of when the last has ended, as pytest does at the end of a session: an error in a
    thread, a coroutine that was never awaited.
    """
    for item, following in pairwise([*items, None]):
        assert item is not None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    gc.collect()
    collect_thread_exception(items[0].config)
    collect_unraisable(items[0].config)
