"""One mutant, tried in this process: it goes with the first test that fails or hangs."""

import math
import os
import resource
from collections.abc import Generator, Sequence

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test

from tests.mutation import bound
from tests.mutation.bound import bounded
from tests.mutation.in_turn import run_tests
from tests.mutation.mutants import Mutant, Verdict
from tests.mutation.reach import Reach

MEMORY_BYTES = 4 << 30
"""That a mutant may have, with all of the machine's others beside it. The tests by themselves take a tenth."""
DEAF_SECONDS = 60
"""Of the processor, beyond what all its tests may take, where it is so deep in one call that no bound is looked at."""


def try_one(mutant: Mutant, reach: Reach) -> None:
    """Ends this process unless the mutant survives."""
    items = in_order(mutant, reach)
    config = items[0].config
    config.pluginmanager.register(_FirstFailure(reach))
    # Nobody reads how a test has failed. To find the lines of a module with all its mutants takes seconds.
    config.option.tbstyle = "no"
    _limit(sum(bound.SPIN_SECONDS + bound.SPIN_TIMES * reach.seconds[item] for item in items))
    set_mutant_under_test(mutant.name)
    try:
        run_tests(items)
    except* Warning:
        os._exit(Verdict.KILLED)


def in_order(mutant: Mutant, reach: Reach) -> Sequence[pytest.Item]:
    """Those that run its function: first those of its module, then the quick ones."""
    return sorted(
        reach.tests[mutant.mangled],
        key=lambda item: (not mutant.is_of(item.path.name), reach.seconds[item], item.nodeid),
    )


def _limit(seconds: float) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    spent = math.ceil(seconds) + DEAF_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (spent, spent + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _FirstFailure:
    """A plugin of pytest."""

    def __init__(self, reach: Reach) -> None:
        self._seconds = reach.seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        with bounded(self._seconds[item], lambda: os._exit(Verdict.HANGS)):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(Verdict.KILLED)
