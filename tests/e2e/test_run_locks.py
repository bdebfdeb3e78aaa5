"""What workers show of themselves in Redis: that they live, and which jobs they run."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from tests.e2e.conftest import Api, Cluster, running_cluster
from tests.programs import until
from tests.redis.servers import RedisServer


class Redis:
    """The Redis of the cluster, looked into."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def lock(self, job_id: str) -> str | None:
        """What stands in the lock of a job."""
        value: str | None = self.server.ask("GET", f"{{schedora}}:run:{job_id}")
        return value

    def hearts(self) -> int:
        """How many incarnations it knows to live."""
        return len(self.server.ask("KEYS", "*:heartbeat:*"))


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    with RedisServer(tmp_path / "redis") as server:
        yield Redis(server)


@pytest.fixture
def cluster(migrated_url: str, redis: Redis, tmp_path: Path) -> Iterator[Cluster]:
    with running_cluster(tmp_path, DATABASE_URL=migrated_url, REDIS_URL=redis.server.url) as made:
        yield made


def test_frozen_worker_that_comes_back_finds_that_another_runs_its_job(
    cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.start("reaper")
    first = cluster.worker("first")
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    lock = until(lambda: redis.lock(job_id), "the first attempt to take the lock")
    first.send(signal.SIGSTOP)
    cluster.worker("second")
    until(lambda: redis.lock(job_id) not in {lock, None}, "the second attempt to take the lock")

    first.send(signal.SIGCONT)

    until((tmp_path / "stopped-1").exists, "the first attempt to be stopped")
    until(lambda: api.metric("run_lock_conflicts_total"), "the conflict to be counted")
    assert "run lock held by another lease" in first.err.read_text()
    assert redis.lock(job_id) not in {lock, None}, "the first one has left it alone"
    (tmp_path / "release-2").touch()
    job = api.ended(job_id)
    assert (job["status"], job["result"], job["worker_id"]) == ("SUCCESS", "token 2", "second")
    until(lambda: api.metric("jobs_succeeded_total"), "the success to be counted")
    assert (api.metric("jobs_succeeded_total"), api.metric("run_lock_conflicts_total")) == (1, 1)
    until(lambda: redis.lock(job_id) is None, "the lock to be released")


def test_dead_workers_job_runs_elsewhere_without_a_conflict(
    cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.start("reaper")
    doomed = cluster.worker("doomed")
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    lock = until(lambda: redis.lock(job_id), "the first attempt to take the lock")
    doomed.send(signal.SIGKILL)
    cluster.worker("other")
    until(lambda: redis.lock(job_id) not in {lock, None}, "the second attempt to take the lock")
    (tmp_path / "release-2").touch()
    assert api.ended(job_id)["result"] == "token 2"
    until(
        lambda: api.metric("jobs_succeeded_total"),
        "the success to be counted, and what was counted before it",
    )
    assert api.metric("run_lock_conflicts_total") == 0


class Role:
    """A way into the database for one worker alone, which can be closed."""

    def __init__(self, server_url: str, database_url: str) -> None:
        self._server_url = server_url
        self._name = f"worker_{os.urandom(6).hex()}"
        self._do(f"CREATE ROLE {self._name} LOGIN SUPERUSER PASSWORD 'open-sesame'")
        parts = urlsplit(database_url)
        netloc = f"{self._name}:open-sesame@{parts.netloc.rpartition('@')[2]}"
        self.url = urlunsplit(parts._replace(netloc=netloc))

    def close(self) -> None:
        """Nobody is in, and nobody comes in."""
        self._do(f"ALTER ROLE {self._name} NOLOGIN")
        self._do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self._name}'")

    def open(self) -> None:
        self._do(f"ALTER ROLE {self._name} LOGIN")

    def drop(self) -> None:
        self.close()
        self._do(f"DROP ROLE {self._name}")

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def role(postgres_server_url: str, migrated_url: str) -> Iterator[Role]:
    made = Role(postgres_server_url, migrated_url)
    yield made
    made.drop()


def test_worker_cut_off_from_the_database_is_spared_while_redis_hears_it(
    role: Role, cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.start("reaper")
    cluster.worker("cut-off", DATABASE_URL=role.url)
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    lock = until(lambda: redis.lock(job_id), "the lock")
    cluster.worker("other")  # before it is cut off, for it is not suppressed for ever
    until(lambda: api.workers().get("other") == "ACTIVE", "another that would take the job")
    role.close()
    until(lambda: api.metric("worker_loss_suppressed_total"), "the reaper to spare it")
    assert api.workers()["cut-off"] == "ACTIVE"

    role.open()

    (tmp_path / "release-1").touch()
    job = api.ended(job_id)
    assert (job["status"], job["result"], job["attempt"]) == ("SUCCESS", "token 1", 1)
    assert redis.lock(job_id) in {lock, None}


def test_worker_that_stays_cut_off_is_lost_and_its_handler_stopped_on_its_return(
    role: Role, cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.start("reaper")
    cluster.worker("cut-off", DATABASE_URL=role.url)
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    lock = until(lambda: redis.lock(job_id), "the lock")
    role.close()
    cluster.worker("other")
    until((tmp_path / "began-2").exists, "the second attempt, for no worker is suppressed for ever")
    until(lambda: redis.lock(job_id) not in {lock, None}, "it to take the lock from the first")
    until(lambda: api.metric("run_lock_conflicts_total"), "the conflict to be counted")
    assert not (tmp_path / "stopped-1").exists(), "the database has not said whose the job is"

    role.open()

    until((tmp_path / "stopped-1").exists, "the first attempt to be stopped")
    until(lambda: api.metric("run_lock_conflicts_total") == 2, "either worker to have counted it")
    (tmp_path / "release-2").touch()
    job = api.ended(job_id)
    assert (job["status"], job["result"], job["worker_id"]) == ("SUCCESS", "token 2", "other")


def test_blocked_event_loop_keeps_the_locks_of_its_worker(
    cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.worker("blocked", "--concurrency", "2")
    (tmp_path / "held").mkdir()
    held = api.submit("hangs", {"directory": str(tmp_path / "held")})
    lock = until(lambda: redis.lock(held), "the lock")
    blocking = api.submit("blocks_loop", {"directory": str(tmp_path), "seconds": 6})
    until((tmp_path / "began-1").exists, "the loop to be blocked")
    ended = False
    while not ended:
        ended = api.job(blocking)["status"] == "SUCCESS"
        assert redis.lock(held) == lock
    (tmp_path / "held" / "release-1").touch()
    assert api.ended(held)["status"] == "SUCCESS"


def test_emptied_redis_has_everything_again_with_the_next_heartbeat(
    cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    cluster.start("reaper")
    cluster.worker("w")
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    lock = until(lambda: redis.lock(job_id), "the lock")
    redis.server.empty()
    until(redis.hearts, "the next sign of life")
    until(lambda: redis.lock(job_id) == lock, "the lock to be set again")
    redis.server.replace()
    until(redis.hearts, "the worker to find the new server")
    until(lambda: redis.lock(job_id) == lock, "the lock to be set there")
    (tmp_path / "release-1").touch()
    assert api.ended(job_id)["result"] == "token 1"
    until(
        lambda: api.metric("jobs_succeeded_total"),
        "the success to be counted, and what was counted before it",
    )
    assert api.metric("run_lock_conflicts_total") == 0


def test_stopped_worker_leaves_nothing_behind(
    cluster: Cluster, api: Api, redis: Redis, tmp_path: Path
) -> None:
    worker = cluster.worker("w")
    job_id = api.submit("hangs", {"directory": str(tmp_path)})
    until(lambda: redis.lock(job_id), "the lock")
    assert redis.hearts() == 1
    worker.ask_to_stop()
    assert worker.ended() == 0
    assert (redis.lock(job_id), redis.hearts()) == (None, 0)
    assert api.job(job_id)["status"] == "PENDING"
