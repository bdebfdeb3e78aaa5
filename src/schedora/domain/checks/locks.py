"""Sessions of Schedora's that wait for a lock which somebody else holds."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.domain.checks.sessions import ServerSession
from schedora.domain.finding import Ailment, Finding, Observation, bad
from schedora.domain.words import in_words

LOCK_WAIT = Ailment(
    "lock_wait",
    consequence="What that session does stands still: a submission, a claim, a completion, or the removal of old jobs.",
    fix="Let the one that holds it commit or roll back; else: SELECT pg_terminate_backend({blocker})",
)

WAIT_MIN, WAIT_CRITICAL = timedelta(seconds=2), timedelta(seconds=30)


@frozen(kw_only=True)
class LockWait:
    """``on``: what is locked. ``blockers``: those that hold it, or stand before this one in the line for it."""

    session: ServerSession
    waiting: timedelta
    on: str
    blockers: Sequence[ServerSession] = field(factory=tuple)


@frozen(kw_only=True)
class LockWaits(Observation):
    waits: Sequence[LockWait] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for wait in self.waits:
            if wait.waiting < WAIT_MIN or not wait.blockers:
                continue
            blocker = wait.blockers[0]
            more = f", and {len(wait.blockers) - 1} others" if len(wait.blockers) > 1 else ""
            yield LOCK_WAIT.found(
                bad(wait.waiting >= WAIT_CRITICAL),
                f"session {wait.session.pid} of Schedora has waited for {in_words(wait.waiting)} for a lock on {wait.on},"
                f" behind {blocker.named}{more}{blocker.doing}",
                waiting_pid=wait.session.pid,
                waiting_query=wait.session.query,
                waiting_seconds=round(wait.waiting.total_seconds(), 3),
                on=wait.on,
                blocker=blocker.pid,
                **{f"blocker_{name}": value for name, value in blocker.details.items() if name != "pid"},
            )
