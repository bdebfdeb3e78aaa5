"""A plugin of pytest, for runs by mutmut.

While mutmut notes which test runs which function, it keeps the one that is being called in a context variable. A worker
starts a task of its own behind a handler that leaves something in its context, so tests would see another worker than
the one that is tried. Nobody asks who calls whom: nothing is kept.

Of a mutant it is enough to know that an example fails: nobody looks for the smallest.

And where pytest does not find a test by its name, no test has failed, which mutmut would take it for.
"""

import os

import pytest
from hypothesis import Phase, settings
from mutmut.core import MutmutCallStack

MutmutCallStack.get = classmethod(lambda _cls: (None, 0))  # type: ignore[method-assign, assignment]
MutmutCallStack.set = classmethod(lambda _cls, _value: None)  # type: ignore[method-assign, assignment]
MutmutCallStack.reset = classmethod(lambda _cls, _token: None)  # type: ignore[method-assign, assignment]

SUSPICIOUS = 35
"""By this exit status mutmut counts a mutant neither as killed nor as survived."""


def pytest_collection() -> None:
    # Behind the profile that the tests have loaded, and before any test is made with it.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", parent=settings(), phases=phases, database=None)
    settings.load_profile("mutants")


def pytest_sessionfinish(exitstatus: int | pytest.ExitCode) -> None:
    if exitstatus == pytest.ExitCode.USAGE_ERROR and "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", ""):
        os._exit(SUSPICIOUS)
