"""RQ on Redis."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.systems.driving import Unsupported, drive, ready
from redis import Redis
from rq import Queue, SimpleWorker
from tasks import counted, noop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.systems.driving import Payload, Terms, Worker

NOT_KEPT = 0


def setup(url: str) -> None:
    with Redis.from_url(url) as redis:
        redis.flushdb()


class Submitter:
    def __init__(self, redis: Redis, terms: Terms) -> None:
        self._queue = Queue(connection=redis)
        self._terms = terms

    def one(self, payload: Payload) -> None:
        if self._terms.delay is None:
            self._queue.enqueue_call(
                noop, (payload,), result_ttl=NOT_KEPT, at_front=self._terms.priority == "higher"
            )
        else:
            self._queue.enqueue_in(timedelta(seconds=self._terms.delay), noop, payload, result_ttl=NOT_KEPT)

    def batch(self, payloads: Sequence[Payload]) -> None:
        if self._terms.delay is not None or self._terms.priority is not None:
            raise Unsupported("RQ's batches go to the end of the queue, at once")
        self._queue.enqueue_many(
            [Queue.prepare_data(noop, (payload,), result_ttl=NOT_KEPT) for payload in payloads]
        )


@contextmanager
def submitting(url: str, terms: Terms) -> Iterator[Submitter]:
    if terms.priority == "lower":
        raise Unsupported("RQ can put a job at the front of its queue; for anything else it has other queues")
    with Redis.from_url(url) as redis:
        yield Submitter(redis, terms)


def work(worker: Worker) -> None:
    counted.append(worker.counting())
    with Redis.from_url(worker.url) as redis:
        running = SimpleWorker([Queue(connection=redis)], connection=redis, log_job_description=False)
        ready()
        running.work(logging_level="WARNING", with_scheduler=False)


if __name__ == "__main__":
    drive(setup=setup, submitting_blocking=submitting, work=work)
