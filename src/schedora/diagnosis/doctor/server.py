"""What the database server is, and its settings that break a promise or cut Schedora's sessions short."""

from collections.abc import Iterator
from datetime import timedelta

from attrs import frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity, bad

VERSION_MIN, VERSION_MAX = 15, 18

SERVER_TOO_OLD = FindingType(
    "server_too_old",
    consequence="Statements of Schedora use what this server does not have: they fail, or are planned badly.",
    fix=f"Move to PostgreSQL {VERSION_MIN} to {VERSION_MAX}.",
)
SERVER_UNPROVEN = FindingType(
    "server_unproven",
    consequence="Schedora has not been tested on this version.",
    fix=f"Use PostgreSQL {VERSION_MIN} to {VERSION_MAX}, or a version of Schedora that names this one.",
)
SERVER_STANDBY = FindingType(
    "server_standby",
    consequence="Nothing can be written: no job is accepted, claimed or completed.",
    fix="Name the primary in DATABASE_URL, or several hosts with target_session_attrs=read-write.",
)
SERVER_READ_ONLY = FindingType(
    "server_read_only",
    consequence="Nothing can be written: no job is accepted, claimed or completed.",
    fix="ALTER DATABASE {database!i} RESET default_transaction_read_only; the same for the role and the server.",
)
FSYNC_OFF = FindingType(
    "fsync_off",
    consequence="A power loss can destroy the database, and every job in it.",
    fix="ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()",
)
FULL_PAGE_WRITES_OFF = FindingType(
    "full_page_writes_off",
    consequence="A power loss can leave half-written pages, which nothing repairs, unless the file system never does that.",
    fix="ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()",
)
COMMITS_NOT_DURABLE = FindingType(
    "commits_not_durable",
    consequence="A crash of the server loses the last commits: jobs that were answered with 201 are gone, ended ones run again.",
    fix="ALTER SYSTEM SET synchronous_commit = on; SELECT pg_reload_conf(); and RESET it for the role and the database.",
)
COMMITS_WAIT = FindingType(
    "commits_wait",
    consequence="Every commit waits until such a standby is there: nothing is accepted, claimed or completed.",
    fix="Bring the standby back, or do without: ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()",
)
ISOLATION_RAISED = FindingType(
    "isolation_raised",
    consequence="Claims and completions that meet fail and are tried again, in place of passing each other by.",
    fix="ALTER DATABASE {database!i} SET default_transaction_isolation = 'read committed'; RESET it for the role.",
)
TIMEOUT_SHORT = FindingType(
    "timeout_short",
    consequence="Statements of Schedora that take longer, such as large batches and the removal of old jobs, are cut off and start over.",
    fix="ALTER ROLE {user!i} SET {setting} = 0; Schedora sets limits of its own.",
)
IDLE_SESSIONS_CUT = FindingType(
    "idle_sessions_cut",
    consequence="Connections that wait for hints are cut again and again, and jobs are found by polling meanwhile.",
    fix="ALTER ROLE {user!i} SET idle_session_timeout = 0",
)

PATIENCE = timedelta(seconds=30)
"""So long Schedora itself gives a statement."""
LOCK_PATIENCE = timedelta(seconds=1)
"""A shorter wait for a lock than this fails in the ordinary run of things."""


@frozen(kw_only=True)
class Server(Observation):
    """As it is for a session of Schedora's. Timeouts: None is none. Schedora sets its own for statements and idle transactions."""

    version: int
    version_text: str
    database: str
    user: str
    standby: bool
    read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    isolation: str
    standbys_missing: bool = False
    """Commits wait for a standby, and none is there that they could wait for."""
    lock_timeout: timedelta | None = None
    transaction_timeout: timedelta | None = None
    idle_session_timeout: timedelta | None = None

    def findings(self) -> Iterator[Finding]:
        yield from self._of_version()
        if self.standby:
            yield SERVER_STANDBY.found(Severity.CRITICAL, "the server is a standby, which takes no writes")
        elif self.read_only:
            yield SERVER_READ_ONLY.found(
                Severity.CRITICAL,
                "transactions are read-only by default (default_transaction_read_only)",
                database=self.database,
            )
        if not self.fsync:
            yield FSYNC_OFF.found(Severity.CRITICAL, "fsync is off")
        if not self.full_page_writes:
            yield FULL_PAGE_WRITES_OFF.found(Severity.WARNING, "full_page_writes is off")
        if self.synchronous_commit == "off":
            yield COMMITS_NOT_DURABLE.found(Severity.CRITICAL, "synchronous_commit is off")
        if self.standbys_missing:
            yield COMMITS_WAIT.found(
                Severity.CRITICAL,
                "synchronous_standby_names asks for a standby, and there is none that is synchronous",
            )
        if self.isolation != "read committed":
            yield ISOLATION_RAISED.found(
                Severity.WARNING,
                f"transactions are {self.isolation} by default (default_transaction_isolation)",
                database=self.database,
                isolation=self.isolation,
            )
        yield from self._of_timeouts()

    def _of_version(self) -> Iterator[Finding]:
        if self.version < VERSION_MIN:
            yield SERVER_TOO_OLD.found(
                Severity.CRITICAL, f"the server is PostgreSQL {self.version_text}", version=self.version_text
            )
        elif self.version > VERSION_MAX:
            yield SERVER_UNPROVEN.found(
                Severity.WARNING, f"the server is PostgreSQL {self.version_text}", version=self.version_text
            )

    def _of_timeouts(self) -> Iterator[Finding]:
        limits = [("lock_timeout", self.lock_timeout, LOCK_PATIENCE), ("transaction_timeout", self.transaction_timeout, PATIENCE)]  # fmt: skip
        for setting, limit, patience in limits:
            if limit is not None and limit < patience:
                yield TIMEOUT_SHORT.found(
                    bad(limit < LOCK_PATIENCE),
                    f"{setting} is {limit.total_seconds():g} s",
                    setting=setting,
                    seconds=limit.total_seconds(),
                    user=self.user,
                )
        if self.idle_session_timeout is not None:
            yield IDLE_SESSIONS_CUT.found(
                Severity.WARNING,
                f"idle_session_timeout is {self.idle_session_timeout.total_seconds():g} s",
                seconds=self.idle_session_timeout.total_seconds(),
                user=self.user,
            )
