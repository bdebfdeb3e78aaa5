"""How many connections the server has left, and how many Schedora's processes may ask for."""

from collections.abc import Iterator, Sequence

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity, bad
from schedora.diagnosis.wording import counted

CONNECTIONS_FEW = FindingType(
    "connections_few",
    consequence="Whoever wants one more is refused: API and workers behave as if the database were away.",
    fix="Find who holds them: SELECT application_name, usename, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC. Lower pools, or raise the limit.",
)
CONNECTIONS_PROMISED = FindingType(
    "connections_promised",
    consequence="Under load all pools can't fill: some processes are refused connections while others hold idle ones.",
    fix="Lower DATABASE_POOL_SIZE and DATABASE_MAX_OVERFLOW (5 and 5 do for a worker), raise max_connections, or put PgBouncer before the server.",
)

FREE_MIN, FREE_MIN_SHARE = 5, 0.1
FREE_CRITICAL = 1
PER_WORKER = 5
"""Beside its pool: two for claims, two for the heartbeat, one that waits for hints."""


@frozen(kw_only=True)
class Pools:
    """What one process may ask for: ``steady`` without overflow."""

    steady: int
    most: int


@frozen(kw_only=True)
class Limit:
    """How many there may be at once, and are; ``setting`` says whose limit it is."""

    setting: str
    most: int
    used: int

    @property
    def free(self) -> int:
        return self.most - self.used


@frozen(kw_only=True)
class Connections(Observation):
    """``limits``: each that binds Schedora's user. ``ours``: of those used, by Schedora's own processes."""

    limits: tuple[Limit, ...]
    ours: int
    pools: Sequence[Pools] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for limit in self.limits:
            if limit.free < max(FREE_MIN, FREE_MIN_SHARE * limit.most):
                yield CONNECTIONS_FEW.found(
                    bad(limit.free <= FREE_CRITICAL),
                    f"{limit.used} of {limit.most} connections are in use ({limit.setting})",
                    setting=limit.setting,
                    limit=limit.most,
                    used=limit.used,
                    ours=self.ours,
                )
        yield from self._of_pools()

    def _of_pools(self) -> Iterator[Finding]:
        if not self.limits:
            return
        tightest = min(self.limits, key=lambda limit: limit.free)
        # What others hold now is not to be had; our own is part of what is asked for.
        room = tightest.free + self.ours
        steady = sum(pools.steady for pools in self.pools)
        most = sum(pools.most for pools in self.pools)
        if room < most:
            yield CONNECTIONS_PROMISED.found(
                Severity.WARNING if room < steady else Severity.OK,
                f"{counted(len(self.pools), 'process', 'processes')} may ask for {most} connections ({steady} without overflow), and {room} are to be had"
                f" ({tightest.setting})",
                setting=tightest.setting,
                processes=len(self.pools),
                steady=steady,
                most=most,
                room=room,
            )
