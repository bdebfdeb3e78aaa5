"""Whether a pooler such as PgBouncer stands before the server, and whether Schedora has been told."""

from collections.abc import Iterator

from attrs import frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity

POOLER_UNSAID = FindingType(
    "pooler_unsaid",
    consequence="Each transaction may meet another session: prepared statements are missing there, hints never arrive, settings are lost.",
    fix="Set DATABASE_DIRECT_URL, or put ?pgbouncer=true at the end of DATABASE_URL.",
)
POOLER_NEEDLESS = FindingType(
    "pooler_needless",
    consequence="Statements are planned anew each time, and each takes two round trips more.",
    fix="Take pgbouncer=true out of DATABASE_URL, and DATABASE_DIRECT_URL away.",
)
SERVER_VERSION_MIXED = FindingType(
    "server_version_mixed",
    consequence="The pooler tells the version of another server than it leads to, and clients trust what they are told.",
    fix="RELOAD the pooler, or see to it that all servers behind it have one version.",
)


@frozen(kw_only=True)
class Pooler(Observation):
    """``said``: what DATABASE_URL says; ``between``: whether sessions are not the server's own; ``shared``: whether two
    connections were seen to share one session of the server, None where that could not be seen.
    """

    said: bool
    between: bool
    shared: bool | None
    told_version: str
    version: str

    def findings(self) -> Iterator[Finding]:
        if self.shared and not self.said:
            yield POOLER_UNSAID.found(
                Severity.CRITICAL,
                "a pooler hands sessions on from transaction to transaction, and DATABASE_URL does not say so",
            )
        if self.said and not self.between:
            yield POOLER_NEEDLESS.found(
                Severity.WARNING,
                "DATABASE_URL says that a pooler stands before the server, and sessions are the server's own",
            )
        if self.told_version != self.version:
            yield SERVER_VERSION_MIXED.found(
                Severity.WARNING,
                f"connections are told PostgreSQL {self.told_version}, and are led to {self.version}",
                told=self.told_version,
                version=self.version,
            )
