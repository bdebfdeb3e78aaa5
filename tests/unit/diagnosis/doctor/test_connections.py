"""What the check of connections says."""

import pytest

from schedora.diagnosis.doctor.connections import Connections, Limit, Pools
from schedora.diagnosis.doctor.finding import Observation
from tests.unit.diagnosis.doctor.told import OK, WARNING, Cases, Told, told_of

CASES: Cases = [
    (
        Connections(
            limits=(
                Limit(setting="CONNECTION LIMIT of u", most=50, used=10),
                Limit(setting="max_connections", most=100, used=96),
            ),
            ours=3,
            pools=[Pools(steady=1, most=5)] * 2,
        ),
        [
            (
                "connections_few",
                WARNING,
                "96 of 100 connections are in use (max_connections)",
                {"setting": "max_connections", "limit": 100, "used": 96, "ours": 3},
            ),
            (
                "connections_promised",
                OK,
                "2 processes may ask for 10 connections (2 without overflow), and 7 are to be had (max_connections)",
                {"setting": "max_connections", "processes": 2, "steady": 2, "most": 10, "room": 7},
            ),
        ],
    ),
    (
        Connections(
            limits=(
                Limit(setting="max_connections", most=100, used=10),
                Limit(setting="CONNECTION LIMIT of u", most=20, used=10),
            ),
            ours=10,
            pools=[Pools(steady=25, most=65)],
        ),
        [
            (
                "connections_promised",
                WARNING,
                "1 process may ask for 65 connections (25 without overflow), and 20 are to be had (CONNECTION LIMIT of u)",
                {"setting": "CONNECTION LIMIT of u", "processes": 1, "steady": 25, "most": 65, "room": 20},
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
