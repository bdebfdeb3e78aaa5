"""Whether what waits will be worked off: workers, queues, the dead letter queue."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Detail, Finding, FindingType, Observation, Severity, bad
from schedora.diagnosis.doctor.processes import REAPER_MISSING, version_differs
from schedora.diagnosis.wording import in_words, some_of
from schedora.domain.worker import LIVE, SUPPRESSED_TIMEOUTS_MAX, WorkerState

WORKERS_NONE = FindingType(
    "workers_none",
    consequence="Jobs are accepted and wait.",
    fix="schedora worker --app MODULE:APP",
)
WORKER_STALE = FindingType(
    "worker_stale",
    consequence="It was declared lost: what it ran runs elsewhere, and there is one worker less.",
    fix="See why {worker} on {host} died; start it again.",
)
WORKER_SILENT = FindingType(
    "worker_silent",
    consequence="What it runs is given up and runs elsewhere once a reaper declares it lost.",
    fix="See whether {worker} on {host} still runs and reaches the database.",
)
TYPE_UNHANDLED = FindingType(
    "type_unhandled",
    consequence="No live worker has a handler for them: these jobs wait.",
    fix="Start a worker with an app that registers it, or see what they are: schedora jobs list --type {type!w}",
)
QUEUE_UNSERVED = FindingType(
    "queue_unserved",
    consequence="Workers that know these jobs serve other queues: they wait.",
    fix="Start a worker that serves that queue: schedora worker --app MODULE:APP --queues {queue!w}",
)
WORKERS_DRAINING = FindingType(
    "workers_draining",
    consequence="They take no new jobs, and no other worker could run these: they wait.",
    fix="Start a worker that runs them; one that drains takes jobs again only once it was started anew.",
)
QUEUE_PAUSED = FindingType(
    "queue_paused",
    consequence="Its jobs wait until somebody resumes it.",
    fix="schedora queues resume {queue!a}",
)
QUEUE_LATE = FindingType(
    "queue_late",
    consequence="Jobs come in faster than they are worked off, or something holds workers up.",
    fix="Start more workers, or let each do more at once (--concurrency); see slow handlers in job_duration_seconds.",
)
DLQ_GROWING = FindingType(
    "dlq_growing",
    consequence="Jobs fail for good, now: somebody's work is not done.",
    fix="schedora dlq list --queue {queue!w}; once that is mended: schedora dlq requeue --queue {queue!w}",
)

LATE_MIN, LATE_CRITICAL = timedelta(minutes=5), timedelta(hours=1)
DIED_MIN = 10
DIED_WITHIN = timedelta(hours=1)


@frozen(kw_only=True)
class Crew:
    """A worker, as the store knows it. No ``queues``: it serves all of them."""

    worker: str
    host: str
    version: str
    status: WorkerState
    queues: tuple[str, ...]
    types: frozenset[str]
    silent_for: timedelta

    @property
    def live(self) -> bool:
        return self.status in LIVE

    def serves(self, queue: str) -> bool:
        return not self.queues or queue in self.queues


@frozen(kw_only=True)
class Waiting:
    """Jobs of one queue and type that could run now; ``oldest`` is for how long the first of them could, not counting
    what it waited for or was held.
    """

    queue: str
    type: str
    oldest: timedelta


@frozen(kw_only=True)
class Died:
    """How many jobs of a queue became DEAD lately, of those that were looked at."""

    queue: str
    jobs: int


@frozen(kw_only=True)
class Work(Observation):
    version: str
    heartbeat_timeout: timedelta
    crew: Sequence[Crew] = field(factory=tuple)
    waiting: Sequence[Waiting] = field(factory=tuple)
    paused: frozenset[str] = frozenset()
    died: Sequence[Died] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        yield from self._of_workers()
        yield from self._of_queues()
        for died in self.died:
            if died.jobs >= DIED_MIN:
                yield DLQ_GROWING.found(
                    Severity.WARNING,
                    f"{died.jobs} jobs of queue {died.queue} became DEAD within {in_words(DIED_WITHIN)}",
                    queue=died.queue,
                    jobs=died.jobs,
                )

    def _of_workers(self) -> Iterator[Finding]:
        live = [one for one in self.crew if one.live]
        names = {one.worker for one in live}
        open_queues = [one for one in self.waiting if one.queue not in self.paused]
        if not live and open_queues:
            yield WORKERS_NONE.found(Severity.CRITICAL, "jobs wait, and there is no live worker")
        for one in self.crew:
            details: dict[str, Detail] = {"worker": one.worker, "host": one.host, "silent_seconds": round(one.silent_for.total_seconds(), 3)}  # fmt: skip
            if one.status is WorkerState.STALE and one.worker in names:
                continue  # it was started again
            if one.status is WorkerState.STALE:
                yield WORKER_STALE.found(
                    Severity.WARNING,
                    f"worker {one.worker} on {one.host} was declared lost; it was heard {in_words(one.silent_for)} ago",
                    **details,
                )
            elif one.live and one.silent_for > self.heartbeat_timeout:
                yield WORKER_SILENT.found(
                    Severity.WARNING,
                    f"worker {one.worker} on {one.host} has not been heard for {in_words(one.silent_for)}",
                    **details,
                )
            elif one.live and one.version and one.version != self.version:
                yield version_differs(f"worker {one.worker}", one.host, one.version, self.version)
        # Whatever else has heard it: a reaper gives it up by then.
        forsaken = max((one.silent_for for one in live), default=timedelta(0))
        if forsaken > self.heartbeat_timeout * (SUPPRESSED_TIMEOUTS_MAX + 1):
            yield REAPER_MISSING.found(
                Severity.CRITICAL,
                f"a worker has been silent for {in_words(forsaken)} and nobody has declared it lost",
                silent_seconds=round(forsaken.total_seconds(), 3),
            )

    def _of_queues(self) -> Iterator[Finding]:
        live = [one for one in self.crew if one.live]
        handled = {job_type for one in live for job_type in one.types}
        late: dict[str, timedelta] = {}
        for waiting in sorted(self.waiting, key=lambda one: -one.oldest):
            queue, oldest = waiting.queue, waiting.oldest
            details: dict[str, Detail] = {
                "queue": queue,
                "type": waiting.type,
                "oldest_seconds": round(oldest.total_seconds(), 3),
            }
            since = f"the oldest for {in_words(oldest)}"
            if queue in self.paused or not live:
                continue
            runners = [one for one in live if one.serves(queue) and waiting.type in one.types]
            if waiting.type not in handled:
                yield TYPE_UNHANDLED.found(
                    Severity.WARNING, f"jobs of type {waiting.type} wait in queue {queue}, {since}", **details
                )
            elif not runners:
                yield QUEUE_UNSERVED.found(
                    Severity.WARNING,
                    f"jobs of type {waiting.type} wait in queue {queue}, {since}, and no worker serves both",
                    **details,
                )
            elif all(one.status is WorkerState.DRAINING for one in runners):
                yield WORKERS_DRAINING.found(
                    Severity.WARNING,
                    f"jobs of type {waiting.type} wait in queue {queue}, {since}, and whoever could run them drains:"
                    f" {some_of(sorted(one.worker for one in runners))}",
                    **details,
                    workers=len(runners),
                )
            else:
                late.setdefault(queue, oldest)  # the oldest of all comes first
        for queue in sorted(self.paused):
            ages = [one.oldest for one in self.waiting if one.queue == queue]
            if ages:
                yield QUEUE_PAUSED.found(
                    Severity.WARNING,
                    f"queue {queue} is paused, and jobs wait in it, the oldest for {in_words(max(ages))}",
                    queue=queue,
                    oldest_seconds=round(max(ages).total_seconds(), 3),
                )
        for queue, oldest in late.items():
            if oldest >= LATE_MIN:
                yield QUEUE_LATE.found(
                    bad(oldest >= LATE_CRITICAL),
                    f"a job in queue {queue} has been ready for {in_words(oldest)}",
                    queue=queue,
                    oldest_seconds=round(oldest.total_seconds(), 3),
                )
