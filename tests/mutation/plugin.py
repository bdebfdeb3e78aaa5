"""A plugin of pytest: instead of running the tests that it has collected, it tries mutants by them, each in a fork.

Nothing runs in this process itself, so that no test and no mutant meets what another has left. And whatever was made
while tests were collected, no mutant has made.

Of a mutant it is enough to know that an example fails: nobody looks for the smallest. And tracebacks are logged in plain:
with colours and locals, of a module with all its mutants, each took seconds.
"""

import gc
import sys
from contextlib import closing
from pathlib import Path

import pytest
import structlog
from hypothesis import Phase, settings

from tests.mutation.forks import forked
from tests.mutation.mutants import UNTRIED, Mutant, Verdict
from tests.mutation.progress import Progress
from tests.mutation.reach import Reach, TestsFail, reach
from tests.mutation.results import Results
from tests.mutation.trial import try_one


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mutation")
    group.addoption("--mutants", type=Path, help="the folder of the package's mutants")
    group.addoption("--children", type=int, default=1, help="so many at once")


def pytest_configure() -> None:
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, structlog.dev.ConsoleRenderer):
            processor.exception_formatter = structlog.dev.plain_traceback


def pytest_collection() -> None:
    # Behind the profile that the tests have loaded, and before any test is made with it.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", parent=settings(), phases=phases, database=None)
    settings.load_profile("mutants")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if session.testsfailed:
        return None  # to be collected: pytest says so
    folder: Path = session.config.getoption("mutants")
    children: int = session.config.getoption("children")
    gc.freeze()  # so that forks share what is there for longer
    progress = Progress(folder.name)
    try:
        reached = reach(session.items, children, progress)
    except TestsFail as failure:
        print(f"\nNothing was changed, and yet:\n\n{failure}")
        pytest.exit("a test fails without a change", returncode=pytest.ExitCode.TESTS_FAILED)
    results = Results(folder)
    if reached.tests.keys().isdisjoint(one.mangled for one in results):
        pytest.exit("no test runs a function that is changed", returncode=pytest.ExitCode.TESTS_FAILED)
    try:
        try_all(results, reached, children, progress)
    finally:
        results.save()
    return True


def try_all(results: Results, reached: Reach, children: int, progress: Progress) -> None:
    """Those that were not tried yet."""
    left = [one for one in results if one.status == UNTRIED]
    to_try = [one for one in left if one.mangled in reached.tests]
    for one in left:
        if one.mangled not in reached.tests:
            results.note(one.name, Verdict.NO_TESTS)
    found: set[str] = set()
    with closing(forked(to_try, lambda one: try_one(one, reached), at_once=children)) as trials:
        for trial in progress.over(
            trials, lambda count: f"{count:,} of {len(to_try):,} mutants tried, {len(found):,} found"
        ):
            results.note(trial.work.name, trial.status, trial.seconds)
            if Mutant.ended(trial.work.name, trial.status).is_found:
                found.add(trial.work.name)
            if trial.told:
                print(f"{trial.work.name} could not be tried:\n{trial.told}", file=sys.stderr)
            if progress.is_due:
                results.save()
