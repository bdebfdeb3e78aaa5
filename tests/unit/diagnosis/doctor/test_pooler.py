"""What the check of pooler says."""

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.pooler import Pooler
from tests.unit.diagnosis.doctor.told import CRITICAL, WARNING, Cases, Told, told_of

POOLER = Pooler(said=False, between=False, shared=False, told_version="17.2", version="17.2")

CASES: Cases = [
    (
        attrs.evolve(POOLER, between=True, shared=True),
        [
            (
                "pooler_unsaid",
                CRITICAL,
                "a pooler hands sessions on from transaction to transaction, and DATABASE_URL does not say so",
                {},
            )
        ],
    ),
    (
        attrs.evolve(POOLER, said=True),
        [
            (
                "pooler_needless",
                WARNING,
                "DATABASE_URL says that a pooler stands before the server, and sessions are the server's own",
                {},
            )
        ],
    ),
    (
        attrs.evolve(POOLER, told_version="16.1"),
        [
            (
                "server_version_mixed",
                WARNING,
                "connections are told PostgreSQL 16.1, and are led to 17.2",
                {"told": "16.1", "version": "17.2"},
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
