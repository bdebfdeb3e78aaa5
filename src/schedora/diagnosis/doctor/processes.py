"""What processes tell of themselves: whether they are of one version, whether a reaper is among them, how they stand."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity
from schedora.diagnosis.wording import counted, in_words
from schedora.domain.process import ProcessKind

VERSION_DIFFERS = FindingType(
    "version_differs",
    consequence="That is as it should be in the middle of an upgrade, and nowhere else.",
    fix="Restart {process} on {host} with version {wanted}.",
)
REAPER_MISSING = FindingType(
    "reaper_missing",
    consequence="Jobs of lost workers wait for ever, and nothing that has ended is ever removed.",
    fix="schedora reaper",
)
LOOP_BLOCKED = FindingType(
    "loop_blocked",
    consequence="Meanwhile that process hears nothing, starts nothing and answers nobody.",
    fix="Find the handler that keeps the event loop of {process}: make it a plain function, which runs in a thread, or let it wait with await.",
)
THREADS_STUCK = FindingType(
    "threads_stuck",
    consequence="Each keeps a slot of that worker, which starts anew before they hold half of them.",
    fix="Find the handlers of {process} that outlive their timeout: let them look at ctx.cancelled, or run in a process.",
)
REDIS_LOST = FindingType(
    "redis_lost",
    consequence="That process goes on over PostgreSQL: whom it tells of jobs hears of them later, and it hears of them later.",
    fix="See to it that {host} reaches the Redis at REDIS_URL.",
)

REAPER_DUE = timedelta(minutes=2)
"""Processes are started one after the other."""
LAG_MIN = timedelta(seconds=5)
_REAPING = frozenset({ProcessKind.REAPER, ProcessKind.UP})


@frozen(kw_only=True)
class RunningProcess:
    """``running``: for how long it has told of itself. ``redis_up`` None: it has none."""

    name: str
    host: str
    kind: ProcessKind
    version: str
    running: timedelta
    loop_lag: timedelta | None = None
    stuck_threads: int = 0
    redis_up: bool | None = None

    @property
    def named(self) -> str:
        return f"{self.kind} {self.name}"


@frozen(kw_only=True)
class Processes(Observation):
    """All that have told of themselves just now."""

    version: str
    processes: Sequence[RunningProcess] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for one in self.processes:
            yield from self._of_process(one)
        longest = max((one.running for one in self.processes), default=timedelta(0))
        if longest >= REAPER_DUE and not any(one.kind in _REAPING for one in self.processes):
            yield REAPER_MISSING.found(
                Severity.WARNING,
                f"there is no reaper among {counted(len(self.processes), 'process that runs', 'processes that run')}",
            )

    def _of_process(self, one: RunningProcess) -> Iterator[Finding]:
        # A worker tells its version in its register, and a program has one of its own.
        if one.kind in {ProcessKind.API, ProcessKind.REAPER} and one.version != self.version:
            yield version_differs(one.named, one.host, one.version, self.version)
        if one.loop_lag is not None and one.loop_lag >= LAG_MIN:
            yield LOOP_BLOCKED.found(
                Severity.WARNING,
                f"the event loop of {one.named} on {one.host} was kept for {in_words(one.loop_lag)}",
                process=one.named,
                host=one.host,
                lag_seconds=round(one.loop_lag.total_seconds(), 3),
            )
        if one.stuck_threads:
            yield THREADS_STUCK.found(
                Severity.WARNING,
                f"{counted(one.stuck_threads, 'thread')} of {one.named} on {one.host} can't be stopped",
                process=one.named,
                host=one.host,
                threads=one.stuck_threads,
            )
        if one.redis_up is False:
            yield REDIS_LOST.found(
                Severity.WARNING,
                f"{one.named} on {one.host} has lost Redis",
                process=one.named,
                host=one.host,
            )


def version_differs(process: str, host: str, version: str, wanted: str) -> Finding:
    """That of a process which is of another version than this one."""
    return VERSION_DIFFERS.found(
        Severity.WARNING,
        f"{process} on {host} is of version {version}, this is {wanted}",
        process=process,
        host=host,
        version=version,
        wanted=wanted,
    )
