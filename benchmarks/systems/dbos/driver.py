"""DBOS Transact over SQLAlchemy and psycopg."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from benchmarks.systems.driving import Unsupported, drive, ready
from dbos import DBOS, DBOSClient, DBOSConfig

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker
    from dbos import EnqueueOptions

QUEUE = "default"
POLLING_INTERVAL_SECONDS = 0.05
WORKER_CONCURRENCY = 1_000
POOL_SIZE = 20
PRIORITIES = {"higher": 1, None: 2, "lower": 3}

counted: list[Done] = []


def configuration(url: str) -> DBOSConfig:
    return {
        "name": "benchmark",
        "system_database_url": url,
        "application_version": "1",
        "log_level": "WARNING",
        "sys_db_pool_size": POOL_SIZE,
    }


@DBOS.workflow(name="noop")
def noop(payload: Payload) -> None:
    counted[0](payload["at"])


def setup(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS dbos CASCADE")
    DBOS(config=configuration(url))
    DBOS.launch()
    register(WORKER_CONCURRENCY)
    DBOS.destroy()


def register(worker_concurrency: int) -> None:
    DBOS.register_queue(
        QUEUE,
        worker_concurrency=worker_concurrency,
        polling_interval_sec=POLLING_INTERVAL_SECONDS,
        on_conflict="always_update",
    )


class Submitter:
    def __init__(self, client: DBOSClient, terms: Terms) -> None:
        self._client = client
        self._options: EnqueueOptions = {
            "workflow_name": "noop",
            "queue_name": QUEUE,
            "app_version": "1",
            "priority": PRIORITIES[terms.priority],
        }
        if terms.delay is not None:
            self._options["delay_seconds"] = terms.delay

    def one(self, payload: Payload) -> None:
        self._client.enqueue(self._options, payload)

    def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("DBOS enqueues workflows one by one")


@contextmanager
def submitting(url: str, terms: Terms) -> Iterator[Submitter]:
    client = DBOSClient(
        system_database_url=url,
        system_database_pool_size=min(terms.concurrency, POOL_SIZE),
        application_name="benchmark",
    )
    yield Submitter(client, terms)
    client.destroy()


def work(worker: Worker) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    counted.append(worker.counting())
    DBOS(config={**configuration(worker.url), "executor_id": f"worker-{worker.slot}"})
    DBOS.launch()
    if worker.concurrency is not None:
        register(worker.concurrency)
    ready()
    signal.sigwait([signal.SIGTERM])
    DBOS.destroy()


if __name__ == "__main__":
    drive(setup=setup, submitting_blocking=submitting, work=work)
