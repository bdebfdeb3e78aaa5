"""What the check of notifications says."""

import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.notifications import Notifications
from tests.unit.diagnosis.doctor.told import CRITICAL, PSQL, WARNING, Cases, Told, told_of

CASES: Cases = [
    (
        Notifications(usage=0.25),
        [("notifications_pile_up", WARNING, "the queue of notifications is 25% full", {"usage": 0.25})],
    ),
    (
        Notifications(usage=0.5, suspects=[PSQL]),
        [
            (
                "notifications_pile_up",
                CRITICAL,
                "the queue of notifications is 50% full; the oldest transaction, which most likely holds it, is that of session 7 (psql, user ada, active)",
                {"usage": 0.5, **PSQL.details},
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
