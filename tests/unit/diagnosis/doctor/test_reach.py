"""What the check of reach says."""

import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.reach import DatabaseReach, MemoryStoreInUse, RedisReach
from tests.unit.diagnosis.doctor.told import CRITICAL, OK, WARNING, Cases, Told, told_of

CASES: Cases = [
    (DatabaseReach(problem="no route"), [("database_away", CRITICAL, "no route", {})]),
    (
        DatabaseReach(problem="no settings", settings_refused=True, full=True),
        [("pooler_unsaid", CRITICAL, "no settings", {})],
    ),
    (
        DatabaseReach(problem="too many clients", full=True),
        [("connections_few", CRITICAL, "too many clients", {})],
    ),
    (RedisReach(problem="no route"), [("redis_away", WARNING, "no route", {})]),
    (RedisReach(configured=False), [("redis_none", OK, "no Redis is configured", {})]),
    (MemoryStoreInUse(), [("memory_store", OK, "everything is kept in the memory of this process", {})]),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
