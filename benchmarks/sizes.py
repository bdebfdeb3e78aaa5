"""How much of everything: the sizes of a full run, and of a first look."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class Sizes:
    """Jobs, unless it says something else."""

    submit_one: int = 3_000
    submit_concurrent: int = 20_000
    submit_batch: int = 100_000
    http_one: int = 10_000
    http_batch: int = 50_000
    drain: int = 50_000
    drain_seconds_max: float = 30
    """After that long a slow system's rate is known."""
    pickup: int = 1_500
    pickup_rate: float = 50
    saturation: int = 100_000
    backlog_drain: int = 20_000
    backlog_small: int = 200_000
    backlog_large: int = 1_000_000
    snapshot: int = 300_000
    dependants: int = 10_000
    scaling: int = 100_000
    memory: int = 1_000_000
    long_seconds_max: float = 600
    """Bound of the long drains."""
    idle_seconds: float = 30
    idle_settle_seconds: float = 5
    """After the start, until a process counts as idle."""


SIZES = {
    "full": Sizes(),
    "small": Sizes(
        submit_one=1_000,
        submit_concurrent=5_000,
        submit_batch=20_000,
        http_one=2_000,
        http_batch=10_000,
        drain=20_000,
        drain_seconds_max=10,
        pickup=250,
        saturation=20_000,
        backlog_small=20_000,
        backlog_large=100_000,
        snapshot=60_000,
        dependants=2_000,
        scaling=20_000,
        memory=100_000,
        long_seconds_max=60,
        idle_seconds=10,
    ),
    "tiny": Sizes(
        submit_one=20,
        submit_concurrent=100,
        submit_batch=200,
        http_one=20,
        http_batch=4_000,
        drain=300,
        drain_seconds_max=10,
        pickup=20,
        saturation=300,
        backlog_drain=300,
        backlog_small=200,
        backlog_large=300,
        snapshot=12_000,
        dependants=120,
        scaling=300,
        memory=300,
        long_seconds_max=20,
        idle_seconds=0.5,
        idle_settle_seconds=0.2,
    ),
}
"""By name. `tiny` only shows that everything works."""
