"""Upgrades: the release before at work on the new schema, migrations beside long transactions, and those that are killed."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from schedora.adapters.postgres.schema import REVISIONS
from tests.e2e.conftest import Cluster, running_cluster
from tests.postgres.test_schema import set_revision, upgrade
from tests.programs import PATIENCE_SECONDS, ROOT, until

NEXT = "9999"
"""The revision of a release to come."""


def git(*arguments: str, directory: Path = ROOT) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


def release_before(repository: Path) -> str | None:
    """The newest tag of a version that is not what is checked out, but led to it."""
    here = set(git("tag", "--points-at", "HEAD", directory=repository).split())
    tags = git("tag", "--list", "v[0-9]*", "--merged", "HEAD", "--sort=-v:refname", directory=repository)
    return next((tag for tag in tags.split() if tag not in here), None)


@pytest.fixture
def cluster(tmp_path: Path, database_url: str) -> Iterator[Cluster]:
    """On an empty database."""
    with running_cluster(tmp_path, DATABASE_URL=database_url) as made:
        yield made


def add_to_schema(url: str) -> None:
    """As a release to come would, whose migrations only add."""
    with psycopg.connect(url) as connection:
        connection.execute("alter table jobs add column later text")
        connection.execute("alter table workers add column later text not null default ''")
        connection.execute("create table later (id bigint primary key)")
    set_revision(url, NEXT, compatible_since=REVISIONS[-1])


needs_history = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(),
    reason="not a checkout: no history to take code from",
)


@needs_history
@pytest.mark.parametrize("which", ["this code, and an addition to the schema", "the release before"])
def test_the_release_before_works_on_the_new_schema(
    cluster: Cluster, database_url: str, tmp_path: Path, which: str
) -> None:
    before = "HEAD" if which.startswith("this") else release_before(ROOT)
    if before is None:
        pytest.skip("no release before this one is tagged")
    archive = tmp_path / "before.tar"
    git("archive", "--output", str(archive), before, "src")
    shutil.unpack_archive(archive, tmp_path / "before", filter="data")
    old = {"PYTHONPATH": f"{tmp_path / 'before' / 'src'}:{ROOT}"}
    found = subprocess.run(
        [sys.executable, "-c", "import schedora; print(schedora.__file__)"],
        env={**cluster.environment, **old}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert Path(found.strip()).is_relative_to(tmp_path), "it is not its code that runs"

    assert cluster.run("migrate", **old).returncode == 0
    api = cluster.api(cluster.start("api", "--port", "0", **old))
    cluster.worker("old-1", **old)
    assert api.ended(api.submit("submits_in_process", {}))["status"] == "SUCCESS"

    if before == "HEAD":
        add_to_schema(database_url)
    assert cluster.run("migrate").returncode == 0
    ended = api.ended(api.submit("submits", {}))
    assert (ended["status"], ended["worker_id"]) == ("SUCCESS", "old-1")
    cluster.worker("old-2", **old)
    cluster.worker("new")
    until(lambda: {"old-1", "old-2", "new"} <= api.workers().keys(), "all workers to be there")
    assert cluster.run("migrate", **old).returncode == 0, "that of the release before has nothing to do"
    newer = cluster.api(cluster.start("api", "--port", "0"))
    for one in (api, newer):
        for job_id in [one.submit("echo", {"n": n}) for n in range(10)]:
            assert newer.ended(job_id)["status"] == "SUCCESS"


@needs_history
def test_the_release_before_is_the_newest_tag_that_led_here(tmp_path: Path) -> None:
    def commit(*tags: str) -> None:
        git(
            "-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "-q", "--allow-empty", "-m", "m",
            directory=tmp_path,
        )  # fmt: skip
        for tag in tags:
            git("tag", tag, directory=tmp_path)

    git("init", "-q", "-b", "main", directory=tmp_path)
    commit("v0.9.0")
    assert release_before(tmp_path) is None, "it is this one"
    commit("v0.10.0", "nightly")
    assert release_before(tmp_path) == "v0.9.0"
    commit()
    assert release_before(tmp_path) == "v0.10.0"
    git("checkout", "-q", "-b", "side", "HEAD~1", directory=tmp_path)
    commit("v0.11.0")
    git("checkout", "-q", "main", directory=tmp_path)
    assert release_before(tmp_path) == "v0.10.0", "another branch did not lead here"


def test_processes_end_once_the_schema_goes_beyond_them_and_none_starts(
    cluster: Cluster, database_url: str, tmp_path: Path
) -> None:
    assert cluster.run("migrate").returncode == 0
    running = [cluster.start("api", "--port", "0"), cluster.worker("w1"), cluster.start("reaper")]
    api = cluster.api(running[0])
    job_id = api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the job to begin")
    set_revision(database_url, NEXT, compatible_since=NEXT)
    assert [program.ended() for program in running] == [1, 1, 1]
    for program in running:
        [line] = [line for line in program.err.read_text().splitlines() if "the schema has changed" in line]
        assert f"schema {NEXT}, which is newer than this version" in line
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select count(*) from job_leases").fetchone() == (0,), "it was released"
    for command in (
        ("api", "--port", "0"),
        ("worker", "--app", "tests.e2e.handlers:app"),
        ("reaper",),
        ("migrate",),
    ):
        refused = cluster.run(*command)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert f"schema {NEXT}, which is newer than this version" in refused.stderr
    set_revision(database_url, REVISIONS[-1], compatible_since=REVISIONS[-1])
    api = cluster.api(cluster.start("api", "--port", "0"))
    cluster.worker("w2")
    assert api.ended(job_id)["result"] == "token 2"


def test_new_code_refuses_the_schema_of_the_release_before(cluster: Cluster, database_url: str) -> None:
    upgrade(database_url, REVISIONS[-2])
    refused = cluster.run("worker", "--app", "tests.e2e.handlers:app")
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert (
        f"schema {REVISIONS[-2]}, this version of Schedora needs {REVISIONS[-1]}; run: schedora migrate"
        in refused.stderr
    )


def test_migrations_stand_back_behind_a_long_transaction_and_survive_each_other(
    cluster: Cluster, database_url: str
) -> None:
    """What it waits for, everybody who comes later would wait for behind it."""
    upgrade(database_url, "0009")
    with psycopg.connect(database_url) as somebody:
        somebody.execute("select from workers")  # and goes on for an hour, perhaps
        migrations = [cluster.start("migrate") for _ in range(3)]
        until(
            lambda: any("trying again" in program.err.read_text() for program in migrations),
            "one to stand back",
        )
        with psycopg.connect(database_url, autocommit=True) as worker:
            worker.execute(f"set statement_timeout = '{PATIENCE_SECONDS}s'".encode())
            for _ in range(3):
                worker.execute("update workers set cpu_percent = 1")
        for program in migrations[:2]:  # wherever they are
            program.send(signal.SIGKILL)
            assert program.ended() == -signal.SIGKILL
        assert migrations[2].process.poll() is None
    assert migrations[2].ended() == 0
    assert "The schema is up to date." in migrations[2].out.read_text()
    assert cluster.run("migrate").returncode == 0
    cluster.worker("w1")
    api = cluster.api(cluster.start("api", "--port", "0"))
    assert api.ended(api.submit("echo", {}))["status"] == "SUCCESS"
