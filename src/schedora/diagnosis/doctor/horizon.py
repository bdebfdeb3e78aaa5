"""Who keeps the server from removing dead rows: all that hold an old snapshot.

Every job leaves dead rows behind, in tables that would otherwise stay small. Vacuum removes a row once nobody can see
it any more, so one old transaction anywhere in the database lets all of them pile up.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Detail, Finding, FindingType, Observation, Severity, bad, sized
from schedora.diagnosis.doctor.sessions import ServerSession
from schedora.diagnosis.wording import in_words

_PILING_UP = "Dead rows of job_ready and job_leases can't be removed: the tables grow, and claims walk over what is gone."

TRANSACTION_IDLE = FindingType(
    "transaction_idle",
    consequence=_PILING_UP,
    fix="Let that program commit or roll back; else: SELECT pg_terminate_backend({pid}). For all of them: set idle_in_transaction_session_timeout.",
)
TRANSACTION_LEFT_OPEN = FindingType(
    "transaction_left_open",
    consequence="It holds no rows back, but its locks: a migration waits for it, and whatever comes after waits for the migration.",
    fix=TRANSACTION_IDLE.fix,
)
TRANSACTION_OLD = FindingType(
    "transaction_old",
    consequence=_PILING_UP,
    fix="Wait for it, or: SELECT pg_terminate_backend({pid}). Run long reports on a replica.",
)
TRANSACTION_PREPARED = FindingType(
    "transaction_prepared",
    consequence=_PILING_UP + " It outlives sessions and restarts, and keeps its locks.",
    fix="Ask its transaction manager; else, in its database: ROLLBACK PREPARED {gid!l}",
)
SLOT_HORIZON = FindingType(
    "slot_horizon",
    consequence=_PILING_UP,
    fix="Bring its subscriber or standby back; if there is none any more: SELECT pg_drop_replication_slot({slot!l})",
)
SLOT_CATALOGS = FindingType(
    "slot_catalogs",
    consequence="Dead rows of the server's catalogs can't be removed: planning gets slower, and ids of transactions run out.",
    fix=SLOT_HORIZON.fix,
)
SLOT_RETAINS_WAL = FindingType(
    "slot_retains_wal",
    consequence="The server keeps all that was written since; once its disk is full it stops, and Schedora with it.",
    fix="Bring its subscriber or standby back; if there is none any more: SELECT pg_drop_replication_slot({slot!l}). Set max_slot_wal_keep_size.",
)
STANDBY_HORIZON = FindingType(
    "standby_horizon",
    consequence=_PILING_UP,
    fix="End the long query on that standby, or set hot_standby_feedback = off there.",
)

IDLE_MIN, IDLE_CRITICAL = timedelta(minutes=1), timedelta(minutes=30)
OLD_MIN, OLD_CRITICAL = timedelta(minutes=5), timedelta(hours=1)
PREPARED_MIN, PREPARED_CRITICAL = timedelta(minutes=5), timedelta(hours=1)
TRANSACTIONS_MIN, TRANSACTIONS_CRITICAL = 1_000_000, 50_000_000
"""So many have begun since a snapshot: its age where no time is told."""
RETAINED_MIN_BYTES, RETAINED_CRITICAL_BYTES = 1 << 30, 10 << 30


@frozen(kw_only=True)
class Holder:
    """A session with a transaction open. ``transactions``: how many have begun since its snapshot, or since it wrote; None where
    it has done neither.
    """

    session: ServerSession
    transactions: int | None = None
    standby: bool = False
    """Whether it speaks for the queries of a standby."""


@frozen(kw_only=True)
class Prepared:
    gid: str
    user: str
    since: datetime
    lasting: timedelta


@frozen(kw_only=True)
class Slot:
    """``transactions``: begun since the rows that it holds; ``catalog_transactions``: since those of the catalogs, which are all
    that logical decoding needs; ``retained_bytes``: of the log, since its position.
    """

    name: str
    kind: str
    active: bool
    transactions: int | None = None
    catalog_transactions: int | None = None
    retained_bytes: int | None = None


@frozen(kw_only=True)
class Horizon(Observation):
    holders: Sequence[Holder] = field(factory=tuple)
    prepared: Sequence[Prepared] = field(factory=tuple)
    slots: Sequence[Slot] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for holder in self.holders:
            yield from _of_standby(holder) if holder.standby else _of_session(holder)
        for transaction in self.prepared:
            if transaction.lasting >= PREPARED_MIN:
                yield TRANSACTION_PREPARED.found(
                    bad(transaction.lasting >= PREPARED_CRITICAL),
                    f"transaction {transaction.gid!r} of user {transaction.user} has been prepared for"
                    f" {in_words(transaction.lasting)} and was never ended",
                    gid=transaction.gid,
                    user=transaction.user,
                    since=transaction.since.isoformat(),
                    seconds=round(transaction.lasting.total_seconds(), 3),
                )
        for slot in self.slots:
            yield from _of_slot(slot)


def _of_session(holder: Holder) -> Iterator[Finding]:
    session = holder.session
    details: dict[str, Detail] = {**session.details, "transactions": holder.transactions}
    if session.lasting is None:
        if holder.transactions is not None and holder.transactions >= TRANSACTIONS_MIN:
            yield TRANSACTION_OLD.found(
                bad(holder.transactions >= TRANSACTIONS_CRITICAL),
                f"{session.named} holds a snapshot that {holder.transactions:,} transactions have begun since",
                **details,
            )
    elif session.state is not None and session.state.startswith("idle in transaction"):
        if holder.transactions is None:
            if session.lasting >= OLD_MIN:
                yield TRANSACTION_LEFT_OPEN.found(
                    Severity.WARNING, f"{session.named} has left a transaction open{session.doing}", **details
                )
        elif session.lasting >= IDLE_MIN:
            yield TRANSACTION_IDLE.found(
                bad(session.lasting >= IDLE_CRITICAL),
                f"{session.named} has left a transaction open that holds a snapshot, or has written{session.doing}",
                **details,
            )
    elif session.lasting >= OLD_MIN:
        yield TRANSACTION_OLD.found(
            bad(session.lasting >= OLD_CRITICAL),
            f"{session.named} is in one transaction{session.doing}",
            **details,
        )


def _of_standby(holder: Holder) -> Iterator[Finding]:
    transactions = holder.transactions
    if transactions is not None and transactions >= TRANSACTIONS_MIN:
        yield STANDBY_HORIZON.found(
            bad(transactions >= TRANSACTIONS_CRITICAL),
            f"a standby ({holder.session.named}) asks for rows that {transactions:,} transactions have begun since",
            **holder.session.details,
            transactions=transactions,
        )


def _of_slot(slot: Slot) -> Iterator[Finding]:
    details: dict[str, Detail] = {
        "slot": slot.name,
        "kind": slot.kind,
        "active": slot.active,
        "transactions": slot.transactions,
        "catalog_transactions": slot.catalog_transactions,
        "retained_bytes": slot.retained_bytes,
    }
    named = (
        f"{slot.kind} replication slot {slot.name}, which {'is in use' if slot.active else 'nobody uses'},"
    )
    # Of one that is in use it is the standby that asks.
    rows = STANDBY_HORIZON if slot.active else SLOT_HORIZON
    for finding_type, kept, transactions in (
        (rows, "rows", slot.transactions),
        (SLOT_CATALOGS, "rows of the catalogs", slot.catalog_transactions),
    ):
        if transactions is not None and transactions >= TRANSACTIONS_MIN:
            yield finding_type.found(
                bad(transactions >= TRANSACTIONS_CRITICAL),
                f"{named} asks for {kept} that {transactions:,} transactions have begun since",
                **details,
            )
    retained_bytes = slot.retained_bytes
    if not slot.active and retained_bytes is not None and retained_bytes >= RETAINED_MIN_BYTES:
        yield SLOT_RETAINS_WAL.found(
            bad(retained_bytes >= RETAINED_CRITICAL_BYTES),
            f"{named} keeps {sized(retained_bytes)} of the write-ahead log",
            **details,
        )
