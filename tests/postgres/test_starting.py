"""Processes at their start: on whatever ``DATABASE_URL`` names, or on nothing that can be used."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.schema import COMPATIBILITY_TABLE, VERSION_TABLE, verify
from schedora.adapters.postgres.upgrade import migrate
from tests.databases import on
from tests.e2e.conftest import Cluster, swift_environment

SECRET = "s3cret"


@pytest.fixture
def processes(database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """On an empty database."""
    made = Cluster(swift_environment(DATABASE_URL=database_url), tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def locked_url() -> Iterator[str]:
    """A server that asks a user named ``visitor`` for a password."""
    # Not below pytest's own directory, which each run of pytest closes to the server's account.
    with TemporaryDirectory(prefix="schedora-tests-") as directory:
        rules = Path(directory, "pg_hba.conf")
        rules.write_text("local all schedora trust\nlocal all all scram-sha-256\n")
        Path(directory).chmod(0o755)
        server = start_embedded(Path(directory, "data"), settings={"hba_file": str(rules), "fsync": "off"})
        with psycopg.connect(server.url) as connection:
            connection.execute("create role visitor login password 'visitor'")
        yield server.url
        server.release()


def the_line(ended: subprocess.CompletedProcess[str], status: int) -> str:
    """All that a process said that was refused its start."""
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("schedora: ")
    assert SECRET not in ended.stderr
    return ended.stderr


def test_up_makes_its_tables_in_an_empty_database(processes: Cluster, database_url: str) -> None:
    api = processes.api(processes.start("up", "--port", "0"))
    assert api.ended(api.submit("echo", {"a": 1}))["status"] == "SUCCESS"
    verify(database_url)


@pytest.mark.parametrize(
    "arguments",
    [("api", "--port", "0"), ("worker",), ("worker", "--processes", "2"), ("reaper",)],
    ids=" ".join,
)
def test_who_does_not_make_tables_says_who_does(processes: Cluster, arguments: tuple[str, ...]) -> None:
    assert "no tables yet; run: schedora migrate" in the_line(processes.run(*arguments), 1)


def test_migrate_makes_them(processes: Cluster, database_url: str) -> None:
    assert processes.run("migrate").returncode == 0
    verify(database_url)


@pytest.mark.parametrize("command", ["up", "migrate"])
def test_a_newer_schema_is_refused(processes: Cluster, database_url: str, command: str) -> None:
    migrate(database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute(f"update {VERSION_TABLE} set version_num = '9999'".encode())
        connection.execute(f"update {COMPATIBILITY_TABLE} set since = '9999'".encode())
    arguments = ("up", "--port", "0") if command == "up" else ("migrate",)
    assert "schema 9999, which is newer" in the_line(processes.run(*arguments), 1)


@pytest.mark.parametrize(
    ("command", "wrong", "part"),
    [
        ("up", lambda _: f"postgresql://u:{SECRET}@nowhere.invalid/db", "database db at nowhere.invalid"),
        ("up", lambda url: on(url, "nothing_there"), "nothing_there"),
        (
            "up",
            lambda url: url.replace("//schedora@", f"//visitor:{SECRET}@"),
            "refuses the user or the password",
        ),
        (
            "api",
            lambda url: url.replace("//schedora@", f"//visitor:{SECRET}@"),
            "refuses the user or the password",
        ),
    ],
    ids=["host", "database", "password", "password for the API"],
)
def test_a_database_that_is_not_to_be_had_is_told_in_one_line(
    processes: Cluster, locked_url: str, command: str, wrong: Callable[[str], str], part: str
) -> None:
    patience = "0" if "nowhere" in part else "3600"  # what refuses is not waited for
    ended = processes.run(
        command, "--port", "0", DATABASE_URL=wrong(locked_url), DATABASE_START_TIMEOUT=patience
    )
    assert part in the_line(ended, 1)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        (f"mysql://u:{SECRET}@h/d", "starts with mysql://"),
        (f"user:{SECRET}@h/d", "has no ://"),
        (f"postgresql://u:{SECRET}/x@h/d", "no valid host and port"),
        (f"postgresql://u:{SECRET}@h/d?connect_timeout=soon", "connect_timeout"),
    ],
    ids=["mysql", "not a URL", "unescaped", "parameter"],
)
def test_what_is_no_url_is_wrong_configuration(processes: Cluster, url: str, part: str) -> None:
    line = the_line(processes.run("up", "--port", "0", DATABASE_URL=url), 2)
    assert part in line
    assert "DATABASE_URL" in line
