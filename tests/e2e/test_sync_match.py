"""Jobs that are leased to an idle worker as they are stored: each is done once, whatever becomes of the worker that holds
them, of what tells it, and of Redis.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import Event, Thread
from typing import Any

import psycopg
import pytest

from schedora import Schedora
from schedora.adapters.postgres.sync_match import listener_lock_key
from schedora.application.pipeline.limits import WorkerLimits
from tests.databases import copy_of
from tests.e2e.conftest import Cluster, running_cluster
from tests.programs import Program, until
from tests.redis.servers import RedisServer

pytestmark = pytest.mark.xdist_group("matched")

STEADY = "steady"
WORKERS = (STEADY, "doomed", "killed", "frozen", "leaving", "deaf")
PATIENT = {"WORKER_HEARTBEAT_TIMEOUT": "5"}
"""None should be declared lost because the machine is busy with tests."""
MORE = 20
"""So many jobs make a while."""
CREATE_LEDGER = "create table charges (order_id int primary key, attempt int not null)"
END_LISTENERS = """
select pg_terminate_backend(pid)
from pg_stat_activity
where datname = current_database() and query ilike 'listen %'
"""
OWNER = "select incarnation from workers where worker_id = %s and status = 'ACTIVE'"

Job = dict[str, Any]


class System:
    """API, reaper, and workers: one that serves all queues, and beside it one to each of the others' queues, which offers
    to those who submit to it come from first. And a ledger.
    """

    def __init__(self, cluster: Cluster, redis: RedisServer) -> None:
        self.redis = redis
        self.redis_url = cluster.environment["REDIS_URL"]
        self.database_url = cluster.environment["DATABASE_URL"]
        with psycopg.connect(self.database_url) as connection:
            connection.execute(CREATE_LEDGER)
        self._orders = count()
        self.charged: dict[int, str] = {}
        """The job of each order."""
        api = cluster.start("api", "--port", "0")
        self.reaper = cluster.start("reaper", **PATIENT)
        self.workers: dict[str, Program] = {}
        for name in WORKERS:
            queues = () if name == STEADY else ("--queues", name)
            app = ("--app", "tests.e2e.charges:app")
            self.workers[name] = cluster.start("worker", *app, "--worker-id", name, *queues, **PATIENT)
        self.api = cluster.api(api)

    def charge(self, queue: str = STEADY) -> str:
        order = next(self._orders)
        job_id = self.charged[order] = self.api.submit("charge_on_loop", {"order": order}, queue=queue)
        return job_id

    def until_matched(self, name: str = STEADY) -> Job:
        """Until a lone job is matched with that worker, which takes that it is known to be idle."""

        def job() -> Job | None:
            job = self.api.ended(self.charge(name))
            return job if matched(job) and job["worker_id"] == name else None

        return until(job, f"a job to be matched with {name}") or {}

    @contextmanager
    def load(self, queue: str = STEADY) -> Iterator[Callable[[], None]]:
        """Jobs come, one at a time, all the while. Hands out what waits until some more have come."""
        stop = Event()

        def submit() -> None:
            while not stop.is_set():
                self.charge(queue)

        def more() -> None:
            aim = len(self.charged) + MORE
            until(lambda: len(self.charged) >= aim or not thread.is_alive(), "more jobs to be accepted")
            assert thread.is_alive(), "a submission failed"

        thread = Thread(target=submit)
        thread.start()
        try:
            more()
            yield more
        finally:
            stop.set()
            thread.join()

    @contextmanager
    def reaper_asleep(self) -> Iterator[None]:
        """What only the reaper would find stays where it is."""
        self.reaper.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.reaper.send(signal.SIGCONT)

    def end_listeners(self) -> None:
        """The connections by which the workers are told."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            until(lambda: connection.execute(END_LISTENERS).fetchall(), "some to be there")

    @contextmanager
    def listener(self, name: str) -> Iterator[None]:
        """That somebody listens in this worker's name is what all others think. Waits for who did."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            owner = connection.execute(OWNER, [name]).fetchone()
            assert owner is not None
            connection.execute("select pg_advisory_lock(%s)", [listener_lock_key(owner[0])])
            try:
                yield
            finally:
                connection.execute("select pg_advisory_unlock(%s)", [listener_lock_key(owner[0])])

    def settle_as_new(self, given: list[str]) -> None:
        """These were given to a worker that did nothing for them; all that has come of it is another lease."""
        jobs = {job["job_id"]: job for job in self.settle()}
        assert {(jobs[job_id]["worker_id"], jobs[job_id]["lease_token"]) for job_id in given} == {(STEADY, 2)}

    def settle(self) -> list[Job]:
        """All jobs since the last time. Each has succeeded at its first attempt, and is in the ledger once."""
        ended = [self.api.ended(job_id) for job_id in self.charged.values()]
        assert {(job["status"], job["attempt"], job["worker_deaths"]) for job in ended} == {("SUCCESS", 1, 0)}
        assert [job["errors"] for job in ended if job["errors"]] == []
        with psycopg.connect(self.database_url) as connection:
            charged = connection.execute("delete from charges returning order_id").fetchall()
        assert sorted(order for (order,) in charged) == sorted(self.charged)
        self.charged.clear()
        return ended


@pytest.fixture(scope="module")
def made(
    postgres_server_url: str, migrated_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One for all these tests: each uses up a worker, or leaves all as it was."""
    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as redis,
        copy_of(postgres_server_url, migrated_name) as url,
        running_cluster(
            tmp_path_factory.mktemp("e2e"),
            DATABASE_URL=url,
            REDIS_URL=f"{redis.url}?socket_timeout=5&socket_connect_timeout=5",
        ) as cluster,
    ):
        yield System(cluster, redis)


@pytest.fixture
def system(made: System) -> System:
    """Its workers offer to start jobs."""
    made.until_matched()
    made.settle()
    return made


def matched(job: Job) -> bool:
    """Whether it was leased by the statement that stored it: no claim is of the same time."""
    return bool(job["claimed_at"] == job["created_at"])


def test_lone_jobs_are_matched(system: System) -> None:
    before = system.api.metric("jobs_sync_matched_total")
    by_http = system.until_matched()
    with Schedora(database_url=system.database_url, redis_url=system.redis_url) as app:

        def job() -> Job | None:
            view = app.wait_sync(app.submit_sync("echo", {"by": "the SDK"}))
            assert view.status == "SUCCESS"
            job = system.api.job(str(view.job_id))
            return job if matched(job) else None

        by_sdk = until(job, "a job to be matched") or {}
    until(
        lambda: system.api.metric("jobs_sync_matched_total") >= before + 2, "the matched jobs to be counted"
    )
    for job_id in (by_http["job_id"], by_sdk["job_id"]):
        events = system.api.http.get(f"/jobs/{job_id}/events").json()["data"]
        assert [(event["to"], event["worker_id"]) for event in events] == [
            ("PENDING", None),
            ("SCHEDULED", STEADY),
            ("RUNNING", STEADY),
            ("SUCCESS", STEADY),
        ]
        assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    system.settle()


def test_queue_that_is_paused_has_no_job_matched(system: System) -> None:
    system.until_matched()
    assert system.api.http.post(f"/queues/{STEADY}/pause").status_code == 200
    waiting = [system.charge() for _ in range(5)]
    assert {system.api.job(job_id)["status"] for job_id in waiting} == {"PENDING"}
    assert system.api.http.post(f"/queues/{STEADY}/resume").status_code == 200
    system.settle()


def test_workers_whose_listeners_are_cut_off_find_what_they_were_not_told_of(system: System) -> None:
    with system.load() as more:
        for _ in range(3):
            system.end_listeners()
            more()
    longest = WorkerLimits().lease_check_idle / 3
    assert [job for job in system.settle() if waited(system, job) > longest.total_seconds()] == []
    system.until_matched()


def waited(system: System, job: Job) -> float:
    """For how many seconds, by the store's clock."""
    with psycopg.connect(system.database_url) as connection:
        query = "select extract(epoch from %s::timestamptz - %s::timestamptz)"
        row = connection.execute(query, (job["started_at"], job["created_at"])).fetchone()
    assert row is not None
    return float(row[0])


def test_redis_goes_and_comes_back_empty(system: System) -> None:
    with system.load() as more:
        system.redis.kill()
        more()
        system.redis.start()
        more()
        system.redis.empty()
        more()
    system.settle()
    system.until_matched()


def test_worker_that_leaves_gives_back_what_it_is_given(system: System) -> None:
    system.until_matched("leaving")
    with system.reaper_asleep():
        with system.load("leaving") as more:
            system.workers["leaving"].send(signal.SIGTERM)
            more()
            assert system.workers["leaving"].ended() == 0
            more()
        system.settle()


def test_worker_that_leaves_gives_back_what_it_never_heard_of(system: System) -> None:
    system.until_matched("deaf")
    deaf = system.workers["deaf"]
    with system.reaper_asleep():
        deaf.send(signal.SIGSTOP)
        system.end_listeners()
        with system.listener("deaf"):
            given = lost_with(system, "deaf")
        deaf.send(signal.SIGTERM)
        deaf.send(signal.SIGCONT)
        assert deaf.ended() == 0
        system.settle_as_new(given)


def test_offers_of_a_killed_worker_are_worth_nothing(system: System) -> None:
    system.until_matched("doomed")
    system.workers["doomed"].send(signal.SIGKILL)
    with system.reaper_asleep():
        with system.listener("doomed"):
            pass  # the server has noticed that nobody listens
        for _ in range(MORE):
            system.charge("doomed")
        system.settle()


def test_what_a_killed_worker_was_given_runs_elsewhere_as_if_for_the_first_time(system: System) -> None:
    system.until_matched("killed")
    system.workers["killed"].send(signal.SIGSTOP)
    given = lost_with(system, "killed")
    system.workers["killed"].send(signal.SIGKILL)
    system.settle_as_new(given)


def test_what_a_frozen_worker_was_given_is_done_once(system: System) -> None:
    system.until_matched("frozen")
    frozen = system.workers["frozen"]
    frozen.send(signal.SIGSTOP)
    given = lost_with(system, "frozen")
    ended = {job_id: system.api.ended(job_id) for job_id in given}
    frozen.send(signal.SIGCONT)
    until(lambda: system.api.workers()["frozen"] == "ACTIVE", "the frozen worker to register again")
    system.until_matched("frozen")
    assert {job_id: system.api.job(job_id) for job_id in given} == ended
    system.settle()


def lost_with(system: System, name: str) -> list[str]:
    """Jobs that a worker is given which does nothing any more."""
    given: list[str] = []

    def leased() -> bool:
        job = system.api.job(system.charge(name))
        if (job["worker_id"], job["status"]) == (name, "SCHEDULED"):
            given.append(job["job_id"])
        return len(given) == 3

    until(leased, f"jobs to be leased to {name}")
    return given
