"""A worker, as the others see it."""

from datetime import datetime, timedelta
from enum import StrEnum

from attrs import frozen

from schedora.domain.errors import InvalidField
from schedora.domain.ids import IncarnationId, WorkerId
from schedora.domain.job_request import QUEUE_LENGTH_MAX, TYPE_LENGTH_MAX
from schedora.domain.text import check_text

WORKER_ID_LENGTH_MAX = 255
HOSTNAME_LENGTH_MAX = 255
VERSION_LENGTH_MAX = 100
CONCURRENCY_MAX = 10_000
PID_MAX = 2**31 - 1
NAMES_MAX = 1_000


class WorkerState(StrEnum):
    ACTIVE = "ACTIVE"
    DRAINING = "DRAINING"
    """Takes no new jobs, finishes what it runs."""
    STALE = "STALE"
    """Silent for longer than the heartbeat timeout: declared lost."""
    STOPPED = "STOPPED"
    """Said good-bye."""


LIVE = frozenset({WorkerState.ACTIVE, WorkerState.DRAINING})
"""Their leases are honoured."""

SUPPRESSED_TIMEOUTS_MAX = 5
"""So many heartbeat timeouts after its last sign of life in the store a worker is lost, whoever else has heard it: it
can't hand in what it does, and its jobs wait for it.
"""


@frozen(kw_only=True)
class WorkerIdentity:
    """What a worker tells of itself when it registers. Empty ``queues``: all of them."""

    worker_id: WorkerId
    hostname: str = ""
    pid: int = 0
    version: str = ""
    max_concurrent_jobs: int = 10
    queues: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    """The job types that it has handlers for."""

    def __attrs_post_init__(self) -> None:
        check_text("worker_id", self.worker_id, length_max=WORKER_ID_LENGTH_MAX)
        check_text("hostname", self.hostname, length_min=0, length_max=HOSTNAME_LENGTH_MAX)
        check_text("version", self.version, length_min=0, length_max=VERSION_LENGTH_MAX)
        if not 0 <= self.pid <= PID_MAX:
            raise InvalidField("pid", self.pid, f"between 0 and {PID_MAX}")
        if not 1 <= self.max_concurrent_jobs <= CONCURRENCY_MAX:
            raise InvalidField(
                "max_concurrent_jobs", self.max_concurrent_jobs, f"between 1 and {CONCURRENCY_MAX}"
            )
        for name, values, length_max in (
            ("queues", self.queues, QUEUE_LENGTH_MAX),
            ("types", self.types, TYPE_LENGTH_MAX),
        ):
            if len(values) > NAMES_MAX:
                raise InvalidField(name, len(values), f"at most {NAMES_MAX} names")
            for index, value in enumerate(values):
                check_text(f"{name}[{index}]", value, length_max=length_max)

    def knows(self, job_type: str) -> bool:
        return job_type in self.types

    def serves(self, queue: str) -> bool:
        return not self.queues or queue in self.queues


@frozen(kw_only=True)
class Worker:
    identity: WorkerIdentity
    incarnation: IncarnationId
    status: WorkerState = WorkerState.ACTIVE
    registered_at: datetime
    last_heartbeat: datetime
    cpu_percent: float | None = None
    memory_percent: float | None = None
    running_jobs: int = 0
    """Jobs under its leases, as read."""
    stuck_threads: int = 0
    """Of its slots: those whose handler was given up and does not end, as it told with its last sign of life."""
    death: str | None = None
    """How its process ended, in words, where that was seen."""

    @property
    def seen_dead(self) -> bool:
        """Whether it is taken for live though its process was seen to end."""
        return self.status in LIVE and self.death is not None

    def silent_at(self, now: datetime, timeout: timedelta) -> bool:
        """Whether nothing was heard of it for longer than ``timeout``."""
        return self.status in LIVE and now - self.last_heartbeat > timeout


def watch_gap_max(timeout: timedelta) -> timedelta:
    """After a longer pause of all who look for silent workers, silence is counted anew.

    Workers that beat at a third of the timeout were heard a third of it before a pause that goes unnoticed, and have
    the last third to be heard after it.
    """
    return timeout / 3


def lost(silent_for: timedelta, timeout: timedelta, *, watched_for: timedelta, heard_elsewhere: bool) -> bool:
    """Whether a worker that the store has not heard for so long is to be given up.

    Its silence counts for as long as somebody was there to notice it: while the store is away everybody is silent.
    """
    counted = min(silent_for, watched_for)
    return counted > (timeout * SUPPRESSED_TIMEOUTS_MAX if heard_elsewhere else timeout)
