"""What the check of server says."""

import attrs
import pytest

from schedora.diagnosis.doctor.finding import Observation
from schedora.diagnosis.doctor.server import Server
from tests.unit.diagnosis.doctor.told import CRITICAL, SECOND, WARNING, Cases, Told, told_of

SERVER = Server(
    version=17,
    version_text="17.2",
    database="d",
    user="u",
    standby=False,
    read_only=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    isolation="read committed",
)

CASES: Cases = [
    (
        attrs.evolve(SERVER, version=14, version_text="14.9"),
        [("server_too_old", CRITICAL, "the server is PostgreSQL 14.9", {"version": "14.9"})],
    ),
    (
        attrs.evolve(SERVER, version=19, version_text="19beta1"),
        [("server_unproven", WARNING, "the server is PostgreSQL 19beta1", {"version": "19beta1"})],
    ),
    (
        attrs.evolve(SERVER, standby=True),
        [("server_standby", CRITICAL, "the server is a standby, which takes no writes", {})],
    ),
    (
        attrs.evolve(SERVER, read_only=True),
        [
            (
                "server_read_only",
                CRITICAL,
                "transactions are read-only by default (default_transaction_read_only)",
                {"database": "d"},
            )
        ],
    ),
    (
        attrs.evolve(
            SERVER, fsync=False, full_page_writes=False, synchronous_commit="off", standbys_missing=True
        ),
        [
            ("fsync_off", CRITICAL, "fsync is off", {}),
            ("full_page_writes_off", WARNING, "full_page_writes is off", {}),
            ("commits_not_durable", CRITICAL, "synchronous_commit is off", {}),
            (
                "commits_wait",
                CRITICAL,
                "synchronous_standby_names asks for a standby, and there is none that is synchronous",
                {},
            ),
        ],
    ),
    (
        attrs.evolve(SERVER, isolation="serializable"),
        [
            (
                "isolation_raised",
                WARNING,
                "transactions are serializable by default (default_transaction_isolation)",
                {"database": "d", "isolation": "serializable"},
            )
        ],
    ),
    (
        attrs.evolve(SERVER, lock_timeout=0.5 * SECOND, transaction_timeout=2 * SECOND),
        [
            (
                "timeout_short",
                CRITICAL,
                "lock_timeout is 0.5 s",
                {"setting": "lock_timeout", "seconds": 0.5, "user": "u"},
            ),
            (
                "timeout_short",
                WARNING,
                "transaction_timeout is 2 s",
                {"setting": "transaction_timeout", "seconds": 2.0, "user": "u"},
            ),
        ],
    ),
    (
        attrs.evolve(SERVER, lock_timeout=SECOND, transaction_timeout=SECOND),
        [
            (
                "timeout_short",
                WARNING,
                "transaction_timeout is 1 s",
                {"setting": "transaction_timeout", "seconds": 1.0, "user": "u"},
            )
        ],
    ),
    (attrs.evolve(SERVER, transaction_timeout=30 * SECOND), []),
    (
        attrs.evolve(SERVER, idle_session_timeout=1.5 * SECOND),
        [("idle_sessions_cut", WARNING, "idle_session_timeout is 1.5 s", {"seconds": 1.5, "user": "u"})],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
