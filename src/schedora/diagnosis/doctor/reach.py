"""Whether what is examined answers at all, and what it is."""

from collections.abc import Iterator

from attrs import frozen

from schedora.diagnosis.doctor.connections import CONNECTIONS_FEW
from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity
from schedora.diagnosis.doctor.pooler import POOLER_UNSAID

DATABASE_AWAY = FindingType(
    "database_away",
    consequence="Nothing is accepted and nothing is claimed; what runs goes on, and is written once the database is back.",
    fix="See to it that the server at DATABASE_URL runs, can be reached from here, and lets this user in.",
)
REDIS_AWAY = FindingType(
    "redis_away",
    consequence="Everything goes on over PostgreSQL: jobs start later, idle workers poll more often, lone jobs are not matched.",
    fix="See to it that the server at REDIS_URL runs, can be reached from here, takes writes, and lets this user in.",
)
REDIS_NONE = FindingType(
    "redis_none",
    consequence="Hints go by NOTIFY, lone jobs are claimed after a hint.",
    fix="Nothing has to be done. With REDIS_URL set, jobs start sooner.",
)
MEMORY_STORE = FindingType(
    "memory_store",
    consequence="Jobs are gone when this process ends.",
    fix="Nothing has to be done for a try. To keep jobs, start without --memory.",
)


@frozen(kw_only=True)
class DatabaseReach(Observation):
    """``problem``: why it can't be reached; ``settings_refused``: for what stands there takes no settings, as PgBouncer doesn't;
    ``full``: for all connections are in use, while whoever has one goes on.
    """

    problem: str | None = None
    settings_refused: bool = False
    full: bool = False

    def findings(self) -> Iterator[Finding]:
        if self.problem is not None:
            finding_type = DATABASE_AWAY
            if self.settings_refused:
                finding_type = POOLER_UNSAID
            elif self.full:
                finding_type = CONNECTIONS_FEW
            yield finding_type.found(Severity.CRITICAL, self.problem)


@frozen(kw_only=True)
class RedisReach(Observation):
    """``configured`` False: there is none to be reached."""

    configured: bool = True
    problem: str | None = None

    def findings(self) -> Iterator[Finding]:
        if not self.configured:
            yield REDIS_NONE.found(Severity.OK, "no Redis is configured")
        elif self.problem is not None:
            yield REDIS_AWAY.found(Severity.WARNING, self.problem)


@frozen(kw_only=True)
class MemoryStoreInUse(Observation):
    """There is no server to be examined."""

    def findings(self) -> Iterator[Finding]:
        yield MEMORY_STORE.found(Severity.OK, "everything is kept in the memory of this process")
