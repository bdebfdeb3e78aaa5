"""What can befall a system: the kinds of faults, and one fault of a timetable."""

from enum import StrEnum

from attrs import frozen


class FaultKind(StrEnum):
    KILL_WORKER = "kill_worker"
    FREEZE_WORKER = "freeze_worker"
    BLOCK_LOOP = "block_loop"
    DRAIN_WORKER = "drain_worker"
    KILL_API = "kill_api"
    KILL_REAPER = "kill_reaper"
    RESTART_POSTGRES = "restart_postgres"
    CRASH_POSTGRES = "crash_postgres"
    TERMINATE_BACKENDS = "terminate_backends"
    EXHAUST_POOLS = "exhaust_pools"
    EXHAUST_SERVER = "exhaust_server"
    CUT_DATABASE = "cut_database"
    DELAY_DATABASE = "delay_database"
    SWALLOW_COMMANDS = "swallow_commands"
    SWALLOW_ANSWERS = "swallow_answers"
    KILL_REDIS = "kill_redis"
    EMPTY_REDIS = "empty_redis"
    FREEZE_REDIS = "freeze_redis"
    CUT_REDIS = "cut_redis"
    SWALLOW_REDIS = "swallow_redis"


IN_WORDS = {
    FaultKind.KILL_WORKER: "a worker is killed (SIGKILL) and started again",
    FaultKind.FREEZE_WORKER: "a worker is stopped (SIGSTOP) for longer than the heartbeat timeout, and goes on",
    FaultKind.BLOCK_LOOP: "a handler blocks the event loop of its worker for longer than the heartbeat timeout",
    FaultKind.DRAIN_WORKER: "a worker is asked to stop (SIGTERM) while it runs jobs, and started again",
    FaultKind.KILL_API: "an API process is killed in the middle of requests, and started again",
    FaultKind.KILL_REAPER: "a reaper is killed, and started again",
    FaultKind.RESTART_POSTGRES: "PostgreSQL is stopped (fast) and started again",
    FaultKind.CRASH_POSTGRES: "PostgreSQL is stopped (immediate, as in a crash) and recovers",
    FaultKind.TERMINATE_BACKENDS: "the server ends all sessions of the processes",
    FaultKind.EXHAUST_POOLS: "the table of jobs is locked, so that every connection of every pool waits",
    FaultKind.EXHAUST_SERVER: "all connections that the server has are taken, and sessions ended",
    FaultKind.CUT_DATABASE: "a process's connections to the database are reset and refused",
    FaultKind.DELAY_DATABASE: "a process's way to the database becomes slow",
    FaultKind.SWALLOW_COMMANDS: "what a process says to the database does not arrive",
    FaultKind.SWALLOW_ANSWERS: "what a process says to the database arrives, the answers do not",
    FaultKind.KILL_REDIS: "Redis is killed, and comes back empty",
    FaultKind.EMPTY_REDIS: "Redis loses all that it holds",
    FaultKind.FREEZE_REDIS: "Redis is stopped (SIGSTOP), and goes on",
    FaultKind.CUT_REDIS: "all connections to Redis are reset and refused",
    FaultKind.SWALLOW_REDIS: "what processes say to Redis is not answered",
}

ON_WORKERS = frozenset({FaultKind.KILL_WORKER, FaultKind.FREEZE_WORKER, FaultKind.DRAIN_WORKER})
"""Those that leave a worker unable to run jobs for a while."""
ON_LINKS = frozenset(
    {
        FaultKind.CUT_DATABASE,
        FaultKind.DELAY_DATABASE,
        FaultKind.SWALLOW_COMMANDS,
        FaultKind.SWALLOW_ANSWERS,
    }
)
"""Those between one process and the database."""
POSTGRES_AWAY = frozenset({FaultKind.RESTART_POSTGRES, FaultKind.CRASH_POSTGRES})
ON_OWN_POSTGRES = frozenset(
    {
        FaultKind.RESTART_POSTGRES,
        FaultKind.CRASH_POSTGRES,
        FaultKind.EXHAUST_POOLS,
        FaultKind.EXHAUST_SERVER,
    }
)
"""Those that nobody may do to a server that others use as well."""
ON_OWN_REDIS = frozenset({FaultKind.KILL_REDIS, FaultKind.EMPTY_REDIS, FaultKind.FREEZE_REDIS})
ON_REDIS = ON_OWN_REDIS | {FaultKind.CUT_REDIS, FaultKind.SWALLOW_REDIS}


@frozen(kw_only=True)
class Fault:
    """``at`` and ``hold_seconds`` from the beginning. ``target`` is whom of those of its sort; ``late`` says what becomes of
    what was held back on a link: it arrives late, or its connections are reset.
    """

    at_seconds: float
    kind: FaultKind
    hold_seconds: float
    target: int = 0
    late: bool = False

    @property
    def ends_seconds(self) -> float:
        return self.at_seconds + self.hold_seconds
