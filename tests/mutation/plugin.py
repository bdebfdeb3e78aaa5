"""A plugin of pytest, for runs by mutmut.

While mutmut notes which test runs which function, it keeps the one that is being called in a context variable. A worker
starts a task of its own behind a handler that leaves something in its context, so tests would see another worker than
the one that is tried. Nobody asks who calls whom: nothing is kept.

Of a mutant it is enough to know that an example fails: nobody looks for the smallest. The tests of its own module come
first, then the quick ones; one that hangs is ended as soon as that can be told. And tracebacks are told in plain: with
colours and locals, of a module in all its mutants, each took seconds.

And where pytest does not find a test by its name, no test has failed, which mutmut would take it for.
"""

import os
from collections.abc import Generator

import pytest
import structlog
from hypothesis import Phase, settings
from mutmut.core import MutmutCallStack
from mutmut.state import state

from tests.mutation.bound import bounded
from tests.mutation.mutants import Mutant

MutmutCallStack.get = classmethod(lambda _cls: (None, 0))  # type: ignore[method-assign, assignment]
MutmutCallStack.set = classmethod(lambda _cls, _value: None)  # type: ignore[method-assign, assignment]
MutmutCallStack.reset = classmethod(lambda _cls, _token: None)  # type: ignore[method-assign, assignment]

HANGS = 36
"""By this exit status mutmut counts a mutant as one of which the time is over."""
SUSPICIOUS = 35
"""By this exit status mutmut counts a mutant neither as killed nor as survived."""


def pytest_configure() -> None:
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, structlog.dev.ConsoleRenderer):
            processor.exception_formatter = structlog.dev.plain_traceback


def pytest_collection() -> None:
    # Behind the profile that the tests have loaded, and before any test is made with it.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", parent=settings(), phases=phases, database=None)
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if mutant := _under_test():
        items.sort(key=lambda item: (not mutant.is_of(item.path.name), _seconds(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if not _under_test():
        return (yield)
    with bounded(_seconds(item), lambda: os._exit(HANGS)):
        return (yield)


def pytest_sessionfinish(exitstatus: int | pytest.ExitCode) -> None:
    if exitstatus == pytest.ExitCode.USAGE_ERROR and _under_test():
        os._exit(SUSPICIOUS)


def _under_test() -> Mutant | None:
    """The mutant that is tried in this process, if any."""
    name = os.environ.get("MUTANT_UNDER_TEST", "")
    return Mutant(name, "") if "__mutmut_" in name else None


def _seconds(item: pytest.Item) -> float:
    """What a test took when nothing was changed."""
    return state().duration_by_test[item.nodeid]
