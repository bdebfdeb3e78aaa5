"""Redis goes away under load, in each way that it can: nothing is lost, nothing is done twice, and no worker stays deaf."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest

from tests.databases import copy_of
from tests.e2e.conftest import Cluster, running_cluster
from tests.programs import Program, until
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer
from tests.tiers import nightly, sampled

WORKERS = ("left", "right")
pytestmark = pytest.mark.xdist_group("losing_redis")

JOBS_PER_PHASE = 40
CREATE_LEDGER = "create table charges (order_id int primary key, attempt int not null)"


class System:
    """API, reaper and two workers, each with a queue of its own beside the one that both serve, and a ledger."""

    def __init__(self, cluster: Cluster, redis: Callable[[], RedisServer]) -> None:
        self.cluster = cluster
        self._redis = redis
        self._database_url = cluster.environment["DATABASE_URL"]
        with psycopg.connect(self._database_url) as connection:
            connection.execute(CREATE_LEDGER)
        self._orders = count()
        self._echoes = 0
        self.charged: dict[int, str] = {}
        """The job of each order."""
        self.api = cluster.api(cluster.start("api", "--port", "0"))
        cluster.start("reaper")
        self.workers = {name: self.worker(name) for name in WORKERS}
        self.until_heard()

    def worker(self, name: str) -> Program:
        return self.cluster.start(
            *("worker", "--app", "tests.e2e.charges:app", "--worker-id", name, "--queues", f"default,{name}")
        )

    def charge(self, queue: str = "default") -> str:
        order = next(self._orders)
        job_id = self.charged[order] = self.api.submit("charge_on_loop", {"order": order}, queue=queue)
        return job_id

    @contextmanager
    def load(self) -> Iterator[Callable[[], None]]:
        """Jobs come all the while. Hands out what waits until a good number more has come."""
        stop = Event()

        def submit() -> None:
            while not stop.is_set():
                self.charge()

        def more() -> None:
            aim = len(self.charged) + JOBS_PER_PHASE
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

    def health(self) -> tuple[str, str]:
        data = self.api.http.get("/health").json()["data"]
        return data["status"], data["redis"]

    def until_health(self, status: str, redis: str) -> None:
        until(lambda: self.health() == (status, redis), f"health to be {status}, with Redis {redis}")

    def until_said(self, program: Program, what: str, *, since: int = 0) -> None:
        """In its log, from the ``since``th letter on."""
        until(lambda: what in program.err.read_text()[since:], f"the log to say that {what}")

    def settle(self) -> None:
        """Every job that was accepted succeeds, and is in the ledger once."""
        for job_id in self.charged.values():
            assert self.api.ended(job_id)["status"] == "SUCCESS"
        with psycopg.connect(self._database_url) as connection:
            charged = connection.execute("select order_id from charges order by order_id").fetchall()
        assert [order for (order,) in charged] == sorted(self.charged)

    def until_heard(self) -> None:
        """Until hints bring each worker its jobs by way of Redis, and no poll has to find them."""
        until(lambda: self._waiting() == len(WORKERS), "the workers to wait for tokens")
        until(self._hear, "the workers to be woken")

    def _waiting(self) -> int:
        """How many connections wait for a token."""
        clients: str = self._redis().ask("CLIENT", "LIST")
        return clients.count(" cmd=blpop ")

    def _hear(self) -> bool:
        """Whether no poll had to find what the workers were given."""
        self._echo(times=1)
        before = self.api.metric("wakeups_missed_total")
        self._echo(times=3)
        return self.api.metric("wakeups_missed_total") == before

    def _echo(self, times: int) -> None:
        """By each worker, one after the other. Returns once they have told what they have counted so far."""
        for name in WORKERS * times:
            self.api.ended(self.api.submit("echo", {}, queue=name))
            self._echoes += 1
        counted = 'jobs_succeeded_total{job_type="echo"}'
        until(lambda: self.api.metric(counted) == self._echoes, "the echoes to be counted")


def patient(url: str) -> str:
    """A machine that is busy with tests does not count as away; nor does a test wait long for one that is."""
    return f"{url}?socket_timeout=5&socket_connect_timeout=5"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def system(
    postgres_server_url: str, migrated_name: str, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One for all these tests: each leaves it as it was."""
    with (
        copy_of(postgres_server_url, migrated_name) as url,
        running_cluster(
            tmp_path_factory.mktemp("e2e"), DATABASE_URL=url, REDIS_URL=patient(redis.url)
        ) as cluster,
    ):
        yield System(cluster, lambda: redis)


Fault = Callable[[System, RedisServer], AbstractContextManager[None]]


@contextmanager
def killed(_system: System, redis: RedisServer) -> Iterator[None]:
    redis.kill()
    yield
    redis.start()


@contextmanager
def frozen(_system: System, redis: RedisServer) -> Iterator[None]:
    redis.freeze()
    yield
    redis.thaw()


@contextmanager
def worker_killed_meanwhile(system: System, redis: RedisServer) -> Iterator[None]:
    """One worker dies while Redis is away, and its successor starts without it."""
    redis.kill()
    system.until_health("degraded", "down")
    name = WORKERS[0]
    system.workers[name].send(signal.SIGKILL)
    yield
    system.workers[name] = system.worker(name)
    system.until_said(system.workers[name], "redis is away")
    redis.start()


@pytest.mark.parametrize(
    "fault",
    [killed, frozen, pytest.param(worker_killed_meanwhile, marks=nightly)],
    ids=lambda fault: fault.__name__,
)
def test_all_is_done_once_while_redis_is_away_and_heard_when_it_is_back(
    system: System, redis: RedisServer, fault: Fault
) -> None:
    other = system.workers[WORKERS[1]]
    before = len(other.err.read_text())
    with system.load() as more:
        with fault(system, redis):
            system.until_health("degraded", "down")
            system.until_said(other, "redis is away", since=before)
            more()
        system.until_health("healthy", "up")
        system.until_said(other, "redis is back", since=before)
        more()
    system.settle()
    system.until_heard()
    said = other.err.read_text()[before:]
    assert (said.count("redis is away"), said.count("redis is back")) == (1, 1)


def emptied(redis: RedisServer) -> None:
    redis.empty()


def replaced(redis: RedisServer) -> None:
    redis.replace()


@pytest.mark.parametrize("fault", sampled([emptied, replaced], 2), ids=lambda fault: fault.__name__)
def test_all_is_done_once_and_heard_after_redis_has_forgotten_everything(
    system: System, redis: RedisServer, fault: Callable[[RedisServer], None]
) -> None:
    with system.load() as more:
        for _ in range(3):
            fault(redis)
            more()
    system.settle()
    system.until_heard()


def test_all_is_done_once_and_heard_after_a_failover(migrated_url: str, tmp_path: Path) -> None:
    with (
        Watched(tmp_path / "redis") as watched,
        running_cluster(tmp_path, DATABASE_URL=migrated_url, REDIS_URL=patient(watched.url)) as cluster,
    ):
        system = System(cluster, lambda: watched.master)
        with system.load() as more:
            old = watched.master
            old.kill()
            watched.await_another_than(old)
            system.until_health("healthy", "up")
            more()
        system.settle()
        system.until_heard()
