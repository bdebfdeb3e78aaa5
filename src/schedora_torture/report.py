"""What a torture came to: one value, as a document for programs and as text for people."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from schedora.diagnosis.wording import counted
from schedora.domain.job_state import JobState
from schedora_torture.checker import Breach
from schedora_torture.faults import IN_WORDS, POSTGRES_AWAY, FaultKind
from schedora_torture.log_files import LogFindings
from schedora_torture.measures import (
    Recovery,
    Second,
    Spread,
    quantile,
    spread,
)
from schedora_torture.plan import Plan

BREACHES_TOLD = 30
LOGGED_TOLD = 12
MOVES_TOLD = 20


@frozen(kw_only=True)
class Report:
    """``began`` is by the clock of the database. ``lasted_seconds``: until all had ended, or the bound was over.
    ``drain_seconds``: from the last fault until all had ended; None where that did not come within the bound.
    ``fenced``: as far as processes lived to tell. ``faults`` stood in the timetable: not all found what they were to strike. ``left_out``: kinds of faults that this torture may not do. ``interrupted``: somebody
    ended it before its time.
    """

    plan: Plan
    database: str
    began: datetime
    lasted_seconds: float
    drain_seconds: float | None
    interrupted: bool
    jobs: int
    workflows: int
    calls: int
    failed_calls: int
    by_status: Mapping[JobState, int]
    claims: int
    effects: int
    fenced: int
    starts: int
    """Of processes."""
    faults: int
    left_out: Sequence[FaultKind]
    breaches: Sequence[Breach]
    seconds: Sequence[Second]
    recoveries: Sequence[Recovery]
    logs: LogFindings

    @property
    def held(self) -> bool:
        """Whether every promise was kept, and there was anything to keep it of."""
        return self.jobs > 0 and not self.breaches

    @property
    def quiet_pick_up_ms(self) -> tuple[float, float] | None:
        """p50 and p99 of all jobs that became ready in seconds in which no fault was under way."""
        waits = sorted(
            ms for second in self.seconds if not self._disturbed(second.at) for ms in second.waits_ms
        )
        return (quantile(waits, 0.5), quantile(waits, 0.99)) if waits else None

    def _disturbed(self, at: int) -> bool:
        return any(
            recovery.strike.began_seconds - 1 <= at <= recovery.strike.ended_seconds + 2
            for recovery in self.recoveries
        )

    @property
    def by_kind(self) -> Mapping[FaultKind, int]:
        """How often each kind has struck."""
        struck = Counter(recovery.strike.fault.kind for recovery in self.recoveries)
        return {kind: struck[kind] for kind in FaultKind if struck[kind]}

    def first_done(self, kind: FaultKind) -> Spread | None:
        """From the end of faults of this kind until the next success."""
        return spread(
            recovery.first_done_seconds
            for recovery in self.recoveries
            if recovery.strike.fault.kind is kind and recovery.first_done_seconds is not None
        )

    def elsewhere(self, kind: FaultKind) -> Spread | None:
        """From the beginning of faults of this kind until a job of the victim ran on another worker."""
        return spread(
            seconds
            for recovery in self.recoveries
            if recovery.strike.fault.kind is kind
            for seconds in recovery.elsewhere_seconds
        )


def document(report: Report) -> dict[str, Any]:
    """All of it, for programs."""
    plan = report.plan
    return {
        "held": report.held,
        "interrupted": report.interrupted,
        "seed": plan.seed,
        "run": plan.run,
        "minutes": round(plan.duration.total_seconds() / 60, 3),
        "workers": plan.workers,
        "apis": plan.apis,
        "reapers": plan.reapers,
        "rate": plan.rate,
        "database": report.database,
        "own_database": plan.owns_database,
        "redis": plan.has_redis,
        "began": report.began.isoformat(),
        "lasted_seconds": round(report.lasted_seconds, 3),
        "drain_seconds": None if report.drain_seconds is None else round(report.drain_seconds, 3),
        "jobs": report.jobs,
        "workflows": report.workflows,
        "planned_faults": report.faults,
        "calls": report.calls,
        "failed_calls": report.failed_calls,
        "by_status": {state.value: amount for state, amount in report.by_status.items()},
        "claims": report.claims,
        "effects": report.effects,
        "fenced": report.fenced,
        "starts": report.starts,
        "left_out": [kind.value for kind in report.left_out],
        "breaches": [
            {
                "promise": str(breach.promise),
                "subject": breach.subject,
                "detail": breach.detail,
                "history": list(breach.history),
            }
            for breach in report.breaches
        ],
        "faults": [
            {
                "kind": recovery.strike.fault.kind.value,
                "victim": recovery.strike.victim or None,
                "began_seconds": round(recovery.strike.began_seconds, 3),
                "ended_seconds": round(recovery.strike.ended_seconds, 3),
                "first_done_seconds": recovery.first_done_seconds,
                "elsewhere_seconds": list(recovery.elsewhere_seconds),
            }
            for recovery in report.recoveries
        ],
        "seconds": [
            {"at": second.at, "ended": second.ended, "picked_up": len(second.waits_ms)}
            | {"p50_ms": second.p50_ms, "p99_ms": second.p99_ms}
            for second in report.seconds
        ],
        "logs": {
            "directory": str(plan.directory),
            "lines": report.logs.lines,
            "by_level": dict(report.logs.by_level),
            "errors": dict(report.logs.messages),
            "tracebacks": [
                {"said": found.said, "times": found.times, "first_in": found.first_in}
                for found in report.logs.tracebacks
            ],
        },
    }


def lines(report: Report) -> Iterator[str]:
    """For people."""
    yield from _verdict(report)
    yield ""
    yield from _what_was_done(report)
    yield ""
    yield from _faults(report)
    yield ""
    yield from _logged(report)
    if report.breaches:
        yield ""
        yield from _broken(report)


def verdict_line(report: Report) -> str:
    """The one that counts."""
    if report.held:
        return "HELD: nothing lost, nothing twice."
    if not report.breaches:
        return "NOTHING TRIED: it ended before any job was accepted."
    kinds = Counter(str(breach.promise) for breach in report.breaches)
    told = ", ".join(f"{name} {times}" for name, times in kinds.most_common())
    return f"VIOLATED: {counted(len(report.breaches), 'violation')}: {told}"


def again(plan: Plan) -> str:
    """The command that does the same once more; a database and a Redis that were named are to be named again."""
    usual = Plan(duration=plan.duration, seed=plan.seed, run=plan.run, directory=plan.directory)
    minutes = plan.duration.total_seconds() / 60
    told = [f"schedora torture --minutes {minutes:g} --seed {plan.seed} --workers {plan.workers}"]
    told += [
        f"--{name} {getattr(plan, name):g}"
        for name in ("apis", "reapers", "rate")
        if getattr(plan, name) != getattr(usual, name)
    ]
    if not plan.owns_database:
        told.append("--database-url …")
    if plan.has_redis:
        told.append("--redis" if plan.own_redis else "--redis-url …")
    return " ".join(told)


def _verdict(report: Report) -> Iterator[str]:
    yield verdict_line(report)
    if report.interrupted:
        yield "Ended before its time; what was there was checked."
    yield f"Again: {again(report.plan)}"
    yield f"Logs:  {report.plan.directory}"


def _what_was_done(report: Report) -> Iterator[str]:
    plan = report.plan
    redis = ("a Redis of its own" if plan.own_redis else "the Redis named") if plan.has_redis else "no Redis"
    yield (
        f"{counted(report.jobs, 'job')} and {counted(report.workflows, 'workflow')} in"
        f" {report.lasted_seconds:.0f} s, on {report.database}, with {redis}"
    )
    yield (
        f"{counted(plan.workers, 'worker')}, {counted(plan.apis, 'API')}, {counted(plan.reapers, 'reaper')};"
        f" {counted(report.starts, 'process', 'processes')} started in all"
    )
    ended = ", ".join(f"{amount:,} {state}" for state, amount in sorted(report.by_status.items()))
    yield f"ended as       {ended}"
    yield f"faults         {len(report.recoveries):,} struck, of {report.faults:,} in the timetable"
    yield f"claims         {report.claims:,}, effects {report.effects:,}, writes fenced {report.fenced:,} at least"
    yield f"calls          {report.calls:,}, {report.failed_calls:,} of them said again"
    if report.drain_seconds is None:
        yield "drained        no: see everything_ends"
    else:
        yield f"drained        {report.drain_seconds:.1f} s after the last fault"
    if (quiet := report.quiet_pick_up_ms) is not None:
        yield f"pick-up        p50 {quiet[0]:.0f} ms, p99 {quiet[1]:.0f} ms where no fault was under way"
    for kind in (FaultKind.KILL_WORKER, FaultKind.FREEZE_WORKER):
        if (found := report.elsewhere(kind)) is not None:
            yield (
                f"{kind:<14} to its job running elsewhere: median {found.median:.1f} s, at most"
                f" {found.largest:.1f} s, of {counted(found.amount, 'job')}"
            )
    back = spread(
        recovery.first_done_seconds
        for recovery in report.recoveries
        if recovery.strike.fault.kind in POSTGRES_AWAY and recovery.first_done_seconds is not None
    )
    if back is not None:
        yield (
            f"postgres back  to the first job done: median {back.median:.1f} s, at most {back.largest:.1f} s,"
            f" of {counted(back.amount, 'time')}"
        )


def _faults(report: Report) -> Iterator[str]:
    yield f"{'FAULT':<20}{'TIMES':>6}{'NEXT DONE':>12}{'AT MOST':>10}  WHAT"
    for kind, times in report.by_kind.items():
        found = report.first_done(kind)
        figures = f"{found.median:>10.2f} s{found.largest:>8.2f} s" if found else " " * 22
        yield f"{kind:<20}{times:>6}{figures}  {IN_WORDS[kind]}"
    for kind in report.left_out:
        yield f"{kind:<20}{'left out':>9}: not done to what the torture has not started itself, or is not there"


def _logged(report: Report) -> Iterator[str]:
    logs = report.logs
    levels = ", ".join(f"{amount:,} {level}" for level, amount in logs.by_level.most_common())
    yield f"The processes logged {counted(logs.lines, 'line')}: {levels}"
    for message, times in logs.messages.most_common(LOGGED_TOLD):
        yield f"  {times:>6}  error: {message[:160]}"
    yield from _more(len(logs.messages), "errors")
    for found in logs.tracebacks[:LOGGED_TOLD]:
        yield f"  {found.times:>6}  traceback: {found.said[:160]} ({found.first_in})"
    yield from _more(len(logs.tracebacks), "tracebacks")


def _more(kinds: int, of_what: str) -> Iterator[str]:
    if kinds > LOGGED_TOLD:
        yield f"          … and {kinds - LOGGED_TOLD:,} more sorts of {of_what}: --json FILE has all of them"


def _broken(report: Report) -> Iterator[str]:
    for breach in report.breaches[:BREACHES_TOLD]:
        yield f"{breach.promise}: {breach.subject}: {breach.detail}"
        if (left := len(breach.history) - MOVES_TOLD) > 0:
            yield f"    … {left:,} moves before"
        for event in breach.history[-MOVES_TOLD:]:
            yield f"    {event}"
    if (more := len(report.breaches) - BREACHES_TOLD) > 0:
        yield f"… and {more:,} more: --json FILE has all of them"
