"""A server of these tests' own, and who visits it."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from schedora.adapters.postgres import examination as examination_module
from schedora.adapters.postgres.embedded import start_embedded
from schedora.application.queries import doctor as doctor_module
from tests.databases import copy_of, migrated_template
from tests.postgres.checks.looking import Connection
from tests.programs import PATIENCE_SECONDS, until

SETTINGS = {
    "fsync": "off", "max_prepared_transactions": "4", "max_notify_queue_pages": "64", "wal_level": "logical",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the machine is slow says nothing of the server."""
    monkeypatch.setattr(examination_module, "STATEMENT_PATIENCE", timedelta(seconds=PATIENCE_SECONDS))
    for limit in ("CHECK_PATIENCE", "PATIENCE"):
        monkeypatch.setattr(doctor_module, limit, timedelta(seconds=2 * PATIENCE_SECONDS))


@pytest.fixture(scope="package")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of these tests' own: its settings are changed, and looked at."""
    server = start_embedded(tmp_path_factory.mktemp("examined"), SETTINGS)
    yield server.url
    server.release()


@pytest.fixture(scope="package")
def template(server_url: str) -> Iterator[str]:
    with migrated_template(server_url) as name:
        yield name


@pytest.fixture
def url(server_url: str, template: str) -> Iterator[str]:
    with copy_of(server_url, template) as url:
        yield url


@pytest.fixture
def admin(url: str) -> Iterator[Connection]:
    """A session of somebody else's, in autocommit."""
    with psycopg.connect(url, autocommit=True, application_name="admin") as connection:
        yield connection


@pytest.fixture
def visitor_url(url: str, admin: Connection) -> Iterator[str]:
    """Of a role that may work with the tables, and sees of other sessions what anybody does."""
    admin.execute("create role visitor login")
    admin.execute("grant all on all tables in schema public to visitor")
    parts = urlsplit(url)
    yield urlunsplit(parts._replace(netloc=f"visitor@{parts.netloc.rpartition('@')[2]}"))
    until(
        lambda: admin.execute("select from pg_stat_activity where usename = 'visitor'").fetchall() == [],
        "the visitor to leave",
    )
    admin.execute("drop owned by visitor")
    admin.execute("drop role visitor")
