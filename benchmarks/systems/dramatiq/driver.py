"""Dramatiq on Redis."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

os.environ["dramatiq_queue_prefetch"] = "1000"  # noqa: SIM112 - its name; read on import

import dramatiq
from benchmarks.systems.driving import Unsupported, drive, ready
from dramatiq.brokers.redis import RedisBroker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.systems.driving import Done, Payload, Terms, Worker

THREADS = 8
WORKER_TIMEOUT_MS = 10


def actor(url: str, done: Done | None = None) -> dramatiq.Actor[[Payload], None]:
    dramatiq.set_broker(RedisBroker(url=url))

    @dramatiq.actor(actor_name="noop")
    def noop(payload: Payload) -> None:
        if done is not None:
            done(payload["at"])

    return noop


def setup(url: str) -> None:
    broker = RedisBroker(url=url)
    broker.client.flushdb()
    broker.close()


class Submitter:
    def __init__(self, noop: dramatiq.Actor[[Payload], None], terms: Terms) -> None:
        self._noop = noop
        self._delay = None if terms.delay is None else int(terms.delay * 1_000)

    def one(self, payload: Payload) -> None:
        if self._delay is None:
            self._noop.send(payload)
        else:
            self._noop.send_with_options(args=(payload,), delay=self._delay)

    def batch(self, payloads: Sequence[Payload]) -> None:
        raise Unsupported("Dramatiq enqueues messages one by one, those of a group too")


@contextmanager
def submitting(url: str, terms: Terms) -> Iterator[Submitter]:
    if terms.priority is not None:
        raise Unsupported("Dramatiq has priorities of actors, among what a worker has fetched already")
    noop = actor(url)
    yield Submitter(noop, terms)
    noop.broker.close()


def work(worker: Worker) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    noop = actor(worker.url, worker.counting())
    running = dramatiq.Worker(
        noop.broker, worker_threads=worker.concurrency or THREADS, worker_timeout=WORKER_TIMEOUT_MS
    )
    running.start()
    ready()
    signal.sigwait([signal.SIGTERM])
    running.stop()
    noop.broker.close()


if __name__ == "__main__":
    drive(setup=setup, submitting_blocking=submitting, work=work)
