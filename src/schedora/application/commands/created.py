"""New jobs, once they are stored: what there is to tell of them."""

from collections.abc import Sequence

from schedora.application.ports.jobs import NewJob
from schedora.application.ports.metrics import Counter, Metrics


def count_created(created: Sequence[NewJob], *, metrics: Metrics) -> None:
    kinds: dict[tuple[str, str], int] = {}
    for new in created:
        kind = new.request.type, new.request.queue
        kinds[kind] = kinds.get(kind, 0) + 1
    for (job_type, queue), amount in kinds.items():
        metrics.count(Counter.JOBS_CREATED, job_type, amount)
        metrics.count(Counter.QUEUE_ENQUEUED, queue, amount)


def queues_to_notify(created: Sequence[NewJob]) -> set[str]:
    """The queues that new jobs can be claimed from."""
    return {new.request.queue for new in created if not new.waits_for}


def all_later(created: Sequence[NewJob]) -> bool:
    """Whether none of them was asked for at once."""
    return all(new.request.scheduled_at is not None for new in created)
