"""Fixtures for all tests: the PostgreSQL server of the run, and databases on it."""

import logging
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.telemetry import uncaught
from schedora.adapters.telemetry.logs import OWN, QUIET
from schedora.application.log import HANDLERS
from tests.databases import Way, copy_of, empty_database, migrated_template, on
from tests.pgbouncer import pgbouncer
from tests.tiers import NIGHTLY, TIER, UNMEASURED, Tier

# Set by the process that started the run, and inherited by its xdist workers: the run's data directory.
RUN_DIRECTORY = "SCHEDORA_TEST_RUN_DIRECTORY"

# How long an example takes says more of the machine than of the code. Only at night are examples new ones: what fails by day
# fails again.
for tier, examples in {Tier.UNIT: 25, Tier.TEST: 100, Tier.NIGHTLY: 1_000}.items():
    settings.register_profile(
        tier, deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=examples,
        derandomize=tier is not Tier.NIGHTLY,
    )  # fmt: skip
settings.load_profile(TIER)

TESTS = Path(__file__).parent

HOOKS: Sequence[tuple[ModuleType, str]] = (
    (sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook"), (warnings, "showwarning"),
)  # fmt: skip

_made = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if RUN_DIRECTORY not in os.environ:
        config.stash[_made] = Path(tempfile.mkdtemp(prefix="schedora-tests-"))
        os.environ[RUN_DIRECTORY] = str(config.stash[_made])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked ``nightly`` runs in that tier alone. Coverage is measured where it is not for nothing."""
    for item in items:
        if item.path.relative_to(TESTS).parts[0] in UNMEASURED:
            item.add_marker(pytest.mark.no_cover)
    left = [item for item in items if TIER is not Tier.NIGHTLY and item.get_closest_marker(NIGHTLY)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item.get_closest_marker(NIGHTLY) is None]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was logged comes with the report, which can't be sent between processes with half characters in it."""
    report = yield
    report.sections = [
        (name, content.encode("utf-8", "backslashreplace").decode()) for name, content in report.sections
    ]
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    directory = config.stash.get(_made, None)
    if directory is None:
        return
    del os.environ[RUN_DIRECTORY]
    if (directory / "postgres" / "postmaster.pid").exists():  # a worker was killed before it could leave
        start_embedded(directory).release()
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def levels_and_hooks_as_before() -> Iterator[None]:
    """Whoever sets up logging sets it up for the whole process, and the next test must not be deaf for that."""
    loggers = [logging.getLogger(name) for name in (None, OWN, HANDLERS, *QUIET)]
    levels = [logger.level for logger in loggers]
    hooks = [(place, name, getattr(place, name)) for place, name in HOOKS]
    yield
    for place, name, hook in hooks:
        if getattr(place, name).__module__ == uncaught.__name__:  # pytest has its own, for parts of a test
            setattr(place, name, hook)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """A server that tests may make databases on: TEST_DATABASE_URL, else one embedded server a run.

    TEST_DATABASE_URL names a server of PostgreSQL 15 or newer and one of its superusers. Tests make databases and
    roles there, drop them again, and end connections to them; the database it names is left as it is.
    """
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield given
        return
    # Nothing in a test needs to survive a power loss.
    server = start_embedded(
        Path(os.environ[RUN_DIRECTORY]), settings={"fsync": "off", "full_page_writes": "off"}
    )
    yield server.url
    server.release()


@pytest.fixture(scope="session")
def way(postgres_server_url: str) -> Iterator[Callable[[str], Way]]:
    """How stores and processes get to a database of the run: straight, unless TEST_POOLER is ``pgbouncer``."""
    if os.environ.get("TEST_POOLER", "") != "pgbouncer":
        yield Way
        return
    with pgbouncer(postgres_server_url) as pooler_url:
        # That there is a direct way says that there is a pooler: the URL is one that other clients take as well.
        plain = pooler_url.partition("?")[0]
        yield lambda url: Way(on(plain, urlsplit(url).path.strip("/")), direct_url=url)


@pytest.fixture
def database_url(postgres_server_url: str) -> Iterator[str]:
    """A fresh, empty database, dropped after the test."""
    with empty_database(postgres_server_url) as url:
        yield url


@pytest.fixture(scope="session")
def migrated_name(postgres_server_url: str) -> Iterator[str]:
    """The name of a migrated database that stays empty: a copy is made faster than tables."""
    with migrated_template(postgres_server_url) as name:
        yield name


@pytest.fixture
def migrated_url(postgres_server_url: str, migrated_name: str) -> Iterator[str]:
    """A fresh database with the newest schema and nothing in it, dropped after the test."""
    with copy_of(postgres_server_url, migrated_name) as url:
        yield url
