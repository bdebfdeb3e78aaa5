"""Celery on Redis."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.systems.driving import Unsupported, drive, ready
from celery import Celery, signals
from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker
    from celery.app.task import Task

PREFETCH = 128
# 0 is the highest on Redis.
PRIORITIES = {"higher": 0, "lower": 9}


def task(url: str, done: Done | None = None) -> Task:
    app = Celery("benchmark", broker=url.replace("unix://", "redis+socket://"))
    app.conf.update(
        task_ignore_result=True,
        worker_prefetch_multiplier=PREFETCH,
        task_default_priority=5,
    )

    @app.task(name="noop")
    def noop(payload: Payload) -> None:
        if done is not None:
            done(payload["at"])

    return noop


def setup(url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.flushdb()


class Submitter:
    def __init__(self, noop: Task, terms: Terms) -> None:
        self._noop = noop
        self._how = {}
        if terms.delay is not None:
            self._how["countdown"] = terms.delay
        if terms.priority is not None:
            self._how["priority"] = PRIORITIES[terms.priority]

    def one(self, payload: Payload) -> None:
        self._noop.apply_async((payload,), **self._how)

    def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("Celery publishes messages one by one, those of a group too")


@contextmanager
def submitting(url: str, terms: Terms) -> Iterator[Submitter]:
    noop = task(url)
    yield Submitter(noop, terms)
    noop.app.close()


def work(worker: Worker) -> None:
    noop = task(worker.url, worker.counting())

    @signals.worker_ready.connect(weak=False)
    def tell(**_: object) -> None:
        ready()

    noop.app.worker_main(
        [
            "--quiet",
            "worker",
            *("--pool", "solo"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"),
        ]
    )


if __name__ == "__main__":
    drive(setup=setup, submitting_blocking=submitting, work=work)
