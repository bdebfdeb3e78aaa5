"""The server's queue of notifications: all its databases share it, and one session that does not listen on fills it."""

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Detail, Finding, FindingType, Observation, bad
from schedora.diagnosis.doctor.sessions import ServerSession

NOTIFICATIONS_PILE_UP = FindingType(
    "notifications_pile_up",
    consequence="From half on hints are left out, and jobs are found by polling; once it is full, transactions that NOTIFY fail, of other programs, too.",
    fix="End the transaction of whoever listens and does not read. The oldest: SELECT pid, application_name, state, xact_start FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start LIMIT 3",
)

USAGE_MIN, USAGE_CRITICAL = 0.1, 0.5


@frozen(kw_only=True)
class Notifications(Observation):
    """``usage``: the part of the queue that is in use. ``suspects``: sessions with a transaction open, oldest first, of any
    database: the server tells of nobody but oneself whether he listens.
    """

    usage: float
    suspects: Sequence[ServerSession] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        if self.usage < USAGE_MIN:
            return
        found = f"the queue of notifications is {self.usage:.0%} full"
        details: dict[str, Detail] = {"usage": self.usage}
        if self.suspects:
            oldest = self.suspects[0]
            found += f"; the oldest transaction, which most likely holds it, is that of {oldest.named}"
            details |= oldest.details
        yield NOTIFICATIONS_PILE_UP.found(bad(self.usage >= USAGE_CRITICAL), found, **details)
