"""Fixtures for all tests: the PostgreSQL server of the run, and databases on it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from schedora.adapters.postgres.embedded import start_embedded
from tests.databases import copy_of, empty_database, migrated_template

# Set by the process that started the run, and inherited by its xdist workers: the run's data directory.
RUN_DIRECTORY = "SCHEDORA_TEST_RUN_DIRECTORY"

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_made = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if RUN_DIRECTORY not in os.environ:
        config.stash[_made] = Path(tempfile.mkdtemp(prefix="schedora-tests-"))
        os.environ[RUN_DIRECTORY] = str(config.stash[_made])


def pytest_unconfigure(config: pytest.Config) -> None:
    directory = config.stash.get(_made, None)
    if directory is None:
        return
    del os.environ[RUN_DIRECTORY]
    if (directory / "postgres" / "postmaster.pid").exists():  # a worker was killed before it could leave
        start_embedded(directory).release()
    shutil.rmtree(directory)


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
