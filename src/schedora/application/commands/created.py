"""New jobs, once they are stored: what there is to tell of them."""

from collections import Counter as Amounts
from collections.abc import Sequence

from schedora.application.ports.jobs import NewJob
from schedora.application.ports.metrics import Counter, Metrics


def count_created(created: Sequence[NewJob], *, metrics: Metrics) -> None:
    for job_type, amount in Amounts([new.request.type for new in created]).items():
        metrics.count(Counter.JOBS_CREATED, job_type, amount)
    for queue, amount in Amounts([new.request.queue for new in created]).items():
        metrics.count(Counter.QUEUE_ENQUEUED, queue, amount)


def queues_to_ring(created: Sequence[NewJob]) -> set[str]:
    """The queues that new jobs can be claimed from."""
    return {new.request.queue for new in created if not new.waits_for}
