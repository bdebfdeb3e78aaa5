"""What the check of horizon says."""

from collections.abc import Mapping

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Detail, Observation
from schedora.diagnosis.doctor.horizon import Holder, Horizon, Prepared, Slot
from tests.builders import NOON
from tests.unit.diagnosis.doctor.told import (
    BACKEND,
    CRITICAL,
    FINE,
    GIB,
    HOUR,
    IDLE,
    MILLION,
    PSQL,
    WARNING,
    Cases,
    Told,
    told_of,
)

SLOT: Mapping[str, Detail] = {
    "slot": "s",
    "kind": "logical",
    "active": False,
    "transactions": 2_000_000,
    "catalog_transactions": 3_000_000,
    "retained_bytes": 3_221_225_472,
}

CASES: Cases = [
    (
        Horizon(holders=[Holder(session=PSQL, transactions=2 * MILLION)]),
        [
            (
                "transaction_old",
                WARNING,
                "session 7 (psql, user ada, active) holds a snapshot that 2,000,000 transactions have begun since",
                {**PSQL.details, "transactions": 2000000},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=attrs.evolve(PSQL, lasting=HOUR))]),
        [
            (
                "transaction_old",
                CRITICAL,
                "session 7 (psql, user ada, active) for 60 min is in one transaction: select ?",
                {
                    "pid": 7,
                    "application_name": "psql",
                    "user": "ada",
                    "database": None,
                    "client": None,
                    "state": "active",
                    "since": None,
                    "seconds": 3600.0,
                    "query": "select ?",
                    "transactions": None,
                },
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=IDLE)]),
        [
            (
                "transaction_left_open",
                WARNING,
                "session 7 (psql, user ada, idle in transaction) for 60 min has left a transaction open: select ?",
                {**IDLE.details, "transactions": None},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=IDLE, transactions=1)]),
        [
            (
                "transaction_idle",
                CRITICAL,
                "session 7 (psql, user ada, idle in transaction) for 60 min has left a transaction open that holds a snapshot, or has written: select ?",
                {**IDLE.details, "transactions": 1},
            )
        ],
    ),
    (
        Horizon(holders=[Holder(session=BACKEND, transactions=2 * MILLION, standby=True)]),
        [
            (
                "standby_horizon",
                WARNING,
                "a standby (session 7 (psql, user ada)) asks for rows that 2,000,000 transactions have begun since",
                {**BACKEND.details, "transactions": 2000000},
            )
        ],
    ),
    (
        Horizon(prepared=[Prepared(gid="it's", user="ada", since=NOON, lasting=HOUR + FINE)]),
        [
            (
                "transaction_prepared",
                CRITICAL,
                'transaction "it\'s" of user ada has been prepared for 60 min and was never ended',
                {"gid": "it's", "user": "ada", "since": "2030-01-01T12:00:00+00:00", "seconds": 3600.124},
            )
        ],
    ),
    (
        Horizon(
            slots=[
                Slot(
                    name="s",
                    kind="logical",
                    active=False,
                    transactions=2 * MILLION,
                    catalog_transactions=3 * MILLION,
                    retained_bytes=3 * GIB,
                )
            ]
        ),
        [
            (
                "slot_horizon",
                WARNING,
                "logical replication slot s, which nobody uses, asks for rows that 2,000,000 transactions have begun since",
                SLOT,
            ),
            (
                "slot_catalogs",
                WARNING,
                "logical replication slot s, which nobody uses, asks for rows of the catalogs that 3,000,000 transactions have begun since",
                SLOT,
            ),
            (
                "slot_retains_wal",
                WARNING,
                "logical replication slot s, which nobody uses, keeps 3.0 GB of the write-ahead log",
                SLOT,
            ),
        ],
    ),
    (
        Horizon(slots=[Slot(name="s", kind="physical", active=True, transactions=2 * MILLION)]),
        [
            (
                "standby_horizon",
                WARNING,
                "physical replication slot s, which is in use, asks for rows that 2,000,000 transactions have begun since",
                {
                    "slot": "s",
                    "kind": "physical",
                    "active": True,
                    "transactions": 2000000,
                    "catalog_transactions": None,
                    "retained_bytes": None,
                },
            )
        ],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
