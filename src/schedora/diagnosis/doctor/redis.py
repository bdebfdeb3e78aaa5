"""What Redis tells of itself."""

from collections.abc import Iterator
from datetime import timedelta

from attrs import frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity, sized

REDIS_OLD = FindingType(
    "redis_old",
    consequence="Scripts of Schedora use what this server does not have: it counts as away.",
    fix="Move to Redis 6.2 or newer, or to Valkey.",
)
REDIS_REPLICA = FindingType(
    "redis_replica",
    consequence="It takes no writes, and counts as away: everything goes on over PostgreSQL.",
    fix="Name its master in REDIS_URL, or the Sentinels: redis+sentinel://.",
)
REDIS_FULL = FindingType(
    "redis_full",
    consequence="Once it is full it takes no writes, and counts as away until there is room.",
    fix="Raise maxmemory, or find what else fills it: redis-cli --bigkeys.",
)
REDIS_EVICTING = FindingType(
    "redis_evicting",
    consequence="Worker availability, tokens and heartbeats of Schedora are evicted before their time: jobs start later, nothing is lost.",
    fix="Raise maxmemory, or give Schedora a Redis of its own with maxmemory-policy noeviction.",
)
REDIS_SLOW = FindingType(
    "redis_slow",
    consequence="Submissions ask it for an idle worker and wait 5 ms at most: they wait in vain, and hints arrive late.",
    fix="See what keeps it busy: redis-cli SLOWLOG GET; bring it nearer.",
)
REDIS_CLIENTS = FindingType(
    "redis_clients",
    consequence="Whoever wants one more connection is refused, and does without Redis.",
    fix="Raise maxclients, or find who holds them: redis-cli CLIENT LIST.",
)

VERSION_MIN = (6, 2)
FULL = 0.9
SLOW = timedelta(milliseconds=10)


@frozen(kw_only=True)
class RedisServer(Observation):
    """``memory_limit_bytes`` and ``clients_limit``: None is none, or not told. ``answer``: the shortest of a few round trips."""

    version: str
    role: str
    policy: str = "noeviction"
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    clients: int = 0
    clients_limit: int | None = None
    answer: timedelta = timedelta(0)
    forked: bool = False
    """Whether it is a Valkey, which has versions of its own and all that is needed."""

    def findings(self) -> Iterator[Finding]:
        if not self.forked and _numbers(self.version) < VERSION_MIN:
            yield REDIS_OLD.found(Severity.WARNING, f"Redis is {self.version}", version=self.version)
        if self.role != "master":
            yield REDIS_REPLICA.found(Severity.WARNING, f"Redis is a {self.role}", role=self.role)
        yield from self._of_memory()
        if self.clients_limit and self.clients >= FULL * self.clients_limit:
            yield REDIS_CLIENTS.found(
                Severity.WARNING,
                f"Redis has {self.clients} clients of {self.clients_limit} (maxclients)",
                clients=self.clients,
                limit=self.clients_limit,
            )
        if self.answer >= SLOW:
            milliseconds = self.answer / timedelta(milliseconds=1)
            yield REDIS_SLOW.found(
                Severity.WARNING,
                f"Redis takes {milliseconds:.0f} ms to answer at best",
                milliseconds=milliseconds,
            )

    def _of_memory(self) -> Iterator[Finding]:
        if not self.memory_limit_bytes or self.memory_bytes < FULL * self.memory_limit_bytes:
            return
        finding_type = REDIS_FULL if self.policy == "noeviction" else REDIS_EVICTING
        yield finding_type.found(
            Severity.WARNING,
            f"Redis uses {sized(self.memory_bytes)} of {sized(self.memory_limit_bytes)} (maxmemory), its policy is {self.policy}",
            memory_bytes=self.memory_bytes,
            limit_bytes=self.memory_limit_bytes,
            policy=self.policy,
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
