"""What the check of redis says."""

from datetime import timedelta

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.redis import RedisServer
from tests.unit.diagnosis.doctor.told import MIB, WARNING, Cases, Told, told_of

REDIS = RedisServer(version="8.0.1", role="master")

CASES: Cases = [
    (
        attrs.evolve(REDIS, version="6.0.20"),
        [("redis_old", WARNING, "Redis is 6.0.20", {"version": "6.0.20"})],
    ),
    (
        attrs.evolve(REDIS, role="replica"),
        [("redis_replica", WARNING, "Redis is a replica", {"role": "replica"})],
    ),
    (
        attrs.evolve(REDIS, memory_bytes=90 * MIB, memory_limit_bytes=100 * MIB),
        [
            (
                "redis_full",
                WARNING,
                "Redis uses 90.0 MB of 100.0 MB (maxmemory), its policy is noeviction",
                {"memory_bytes": 94371840, "limit_bytes": 104857600, "policy": "noeviction"},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, memory_bytes=90 * MIB, memory_limit_bytes=100 * MIB, policy="allkeys-lru"),
        [
            (
                "redis_evicting",
                WARNING,
                "Redis uses 90.0 MB of 100.0 MB (maxmemory), its policy is allkeys-lru",
                {"memory_bytes": 94371840, "limit_bytes": 104857600, "policy": "allkeys-lru"},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, clients=90, clients_limit=100),
        [
            (
                "redis_clients",
                WARNING,
                "Redis has 90 clients of 100 (maxclients)",
                {"clients": 90, "limit": 100},
            )
        ],
    ),
    (
        attrs.evolve(REDIS, answer=timedelta(microseconds=12_345.6)),
        [("redis_slow", WARNING, "Redis takes 12 ms to answer at best", {"milliseconds": 12.346})],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
