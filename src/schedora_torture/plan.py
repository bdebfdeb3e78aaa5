"""What one torture is to be: how long, by which seed, of what, and where."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from attrs import frozen

HEARTBEAT_INTERVAL = timedelta(seconds=1)
HEARTBEAT_TIMEOUT = timedelta(seconds=3)
CONCURRENCY = 10
"""Jobs at once in each worker."""
RATE = 10.0
"""Orders a second, about 16 jobs: two cores do that and recover from a storm before the next."""
DRAIN_BOUND = timedelta(seconds=120)
"""After the last fault, everything that was accepted has ended within this."""
HANDLERS = "schedora_torture.handlers:app"
RETENTION_SECONDS = 3_153_600_000
"""A hundred years: the longest that there is."""
_RETENTIONS = (
    "JOB_RETENTION_SUCCESS", "JOB_RETENTION_CANCELED", "JOB_RETENTION_DEAD", "TRACE_RETENTION"
)  # fmt: skip


@frozen(kw_only=True)
class Plan:
    """``database_url`` None: a server of the torture's own. ``redis_url`` None: none, unless ``own_redis`` asks for one of
    the torture's own. ``app`` is whose handlers the workers run.
    """

    duration: timedelta
    seed: int
    run: str
    """Names this torture among others on the same database: its queue, its keys."""
    directory: Path
    """Where logs are kept."""
    workers: int = 3
    apis: int = 2
    reapers: int = 2
    rate: float = RATE
    """Orders a second."""
    database_url: str | None = None
    redis_url: str | None = None
    own_redis: bool = False
    app: str = HANDLERS

    @property
    def queue(self) -> str:
        return f"torture-{self.run}"

    @property
    def redis_prefix(self) -> str:
        return f"torture-{self.run}"

    @property
    def owns_database(self) -> bool:
        return self.database_url is None

    @property
    def has_redis(self) -> bool:
        return self.own_redis or self.redis_url is not None


def process_settings(plan: Plan, database_url: str, redis_url: str | None) -> Mapping[str, str]:
    """The environment of a process, as far as it is Schedora's."""
    settings = {
        "DATABASE_URL": database_url,
        "DATABASE_POOL_SIZE": "3",
        "DATABASE_MAX_OVERFLOW": "3",
        "WORKER_HEARTBEAT_INTERVAL": f"{HEARTBEAT_INTERVAL.total_seconds():g}",
        "WORKER_HEARTBEAT_TIMEOUT": f"{HEARTBEAT_TIMEOUT.total_seconds():g}",
        "WORKER_SHUTDOWN_TIMEOUT": "5",
        # Here workers are killed whatever they run: none of it is poison.
        "MAX_WORKER_DEATHS": "1000",
        # Who keeps records for longer than by default loses none of them to the reapers of a torture.
        **dict.fromkeys(_RETENTIONS, str(RETENTION_SECONDS)),
        "LOG_FORMAT": "json",
        "SCHEDORA_TORTURE_RUN": plan.run,
    }
    if redis_url is not None:
        settings |= {"REDIS_URL": redis_url, "REDIS_PREFIX": plan.redis_prefix}
    return settings
