"""Which test runs which function that has mutants, and how long each test takes when nothing is changed."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from unittest.mock import patch

import pytest
from attrs import frozen
from mutmut.core import MutmutCallStack
from mutmut.mutation import trampoline

from tests.mutation.forks import forked
from tests.mutation.in_turn import run_tests
from tests.mutation.progress import Progress


class TestsFail(Exception):
    """Without any mutant."""


@frozen
class Reach:
    tests: Mapping[str, Sequence[pytest.Item]]
    """By function, as mutmut calls it."""
    seconds: Mapping[pytest.Item, float]
    """Of the processor."""


@frozen
class _Ran:
    functions: frozenset[str]
    seconds: float
    failure: str


def reach(items: Sequence[pytest.Item], children: int, progress: Progress) -> Reach:
    """Runs each test by itself, in a fork, so that no test is right only because of another one."""
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    seconds = {}
    with closing(forked(items, _ran, at_once=children)) as runs:
        for run in progress.over(
            runs, lambda count: f"{count:,} of {len(items):,} tests run without a change"
        ):
            match run.told:
                case _Ran(functions, spent, failure=""):
                    seconds[run.work] = spent
                    for function in functions:
                        tests[function].append(run.work)
                case _Ran(failure=failure):
                    raise TestsFail(f"{run.work.nodeid}\n{failure}")
                case error:
                    raise TestsFail(f"{run.work.nodeid} ended with {run.status}\n{error or ''}")
    return Reach(dict(tests), seconds)


class _Failures:
    def __init__(self) -> None:
        self.told: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.told.append(report.longreprtext)


def _ran(item: pytest.Item) -> _Ran:
    functions: set[str] = set()
    failures = _Failures()
    item.config.pluginmanager.register(failures)

    def note(name: str, caller: str | None = None) -> None:
        functions.add(name)

    # mutmut keeps which function is being called in a context variable. A worker starts a task of its own behind a
    # handler that leaves something in its context, so tests would see another worker than the one that is tried.
    nothing_is_kept = patch.multiple(
        MutmutCallStack, get=lambda: (None, 0), set=lambda _value: None, reset=lambda _token: None
    )
    with nothing_is_kept, patch.object(trampoline, "record_trampoline_hit", note):
        trampoline.set_mutant_under_test("stats")
        began = time.process_time()
        run_tests([item])
    return _Ran(frozenset(functions), time.process_time() - began, "\n".join(failures.told))
