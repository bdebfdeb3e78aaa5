"""Sessions of Schedora's that wait for a lock which somebody else holds."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Detail, Finding, FindingType, Observation, bad
from schedora.diagnosis.doctor.horizon import TRANSACTION_PREPARED
from schedora.diagnosis.doctor.sessions import ServerSession
from schedora.diagnosis.wording import counted, in_words

LOCK_WAIT = FindingType(
    "lock_wait",
    consequence="What that session does stands still: a submission, a claim, a completion, or the removal of old jobs.",
    fix="Let the one that holds it commit or roll back; else: SELECT pg_terminate_backend({blocker})",
)
LOCK_PREPARED = FindingType(
    "lock_prepared",
    consequence=LOCK_WAIT.consequence + " No session is left that could be ended.",
    fix=TRANSACTION_PREPARED.fix,
)

WAIT_MIN, WAIT_CRITICAL = timedelta(seconds=2), timedelta(seconds=30)


@frozen(kw_only=True)
class LockWait:
    """``on``: what is locked. ``blockers``: those at the head of the line for it, who wait for nobody themselves; ``prepared``:
    the name of a prepared transaction that is there.
    """

    session: ServerSession
    waiting: timedelta
    on: str
    blockers: Sequence[ServerSession] = field(factory=tuple)
    prepared: str | None = None


@frozen(kw_only=True)
class LockWaits(Observation):
    waits: Sequence[LockWait] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for wait in self.waits:
            if wait.waiting >= WAIT_MIN:
                yield from _of_wait(wait)


def _of_wait(wait: LockWait) -> Iterator[Finding]:
    severity = bad(wait.waiting >= WAIT_CRITICAL)
    waits = f"session {wait.session.pid} of Schedora has waited for {in_words(wait.waiting)} for a lock on {wait.on}"
    details: dict[str, Detail] = {
        "waiting_pid": wait.session.pid,
        "waiting_query": wait.session.query,
        "waiting_seconds": round(wait.waiting.total_seconds(), 3),
        "on": wait.on,
    }
    if wait.blockers:
        blocker = wait.blockers[0]
        more = f", and {counted(len(wait.blockers) - 1, 'other')}" if len(wait.blockers) > 1 else ""
        yield LOCK_WAIT.found(
            severity,
            f"{waits}, behind {blocker.named}{more}{blocker.doing}",
            **details,
            blocker=blocker.pid,
            **{f"blocker_{name}": value for name, value in blocker.details.items() if name != "pid"},
        )
    if wait.prepared is not None:
        yield LOCK_PREPARED.found(
            severity,
            f"{waits}, behind transaction {wait.prepared!r}, which was prepared and never ended",
            **details,
            gid=wait.prepared,
        )
