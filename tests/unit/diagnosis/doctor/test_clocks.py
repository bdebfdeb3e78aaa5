"""What the check of clocks says."""

import pytest

from schedora.diagnosis.doctor.clocks import ClockReading, Clocks
from schedora.diagnosis.doctor.finding import Observation
from tests.unit.diagnosis.doctor.told import FINE, SECOND, WARNING, Cases, Told, told_of

CASES: Cases = [
    (
        Clocks(
            readings=[
                ClockReading(process="p", ahead=SECOND, uncertainty=FINE),
                ClockReading(process="q", ahead=2 * SECOND + 2 * FINE, uncertainty=FINE),
                ClockReading(process="r", ahead=-2 * SECOND - 2 * FINE, uncertainty=FINE),
            ]
        ),
        [
            (
                "clock_skewed",
                WARNING,
                "the clock of q is 2.2 s ahead of the database's",
                {"process": "q", "ahead_seconds": 2.247, "uncertainty_seconds": 0.124},
            ),
            (
                "clock_skewed",
                WARNING,
                "the clock of r is 2.2 s behind the database's",
                {"process": "r", "ahead_seconds": -2.247, "uncertainty_seconds": 0.124},
            ),
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
