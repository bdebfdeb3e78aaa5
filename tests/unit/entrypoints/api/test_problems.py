import json
from datetime import UTC, datetime
from uuid import UUID

from asyncpg.pgproto import pgproto

from schedora.entrypoints.api.problems import Problem

ID = UUID("0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60")


def test_members_may_hold_the_identifiers_that_drivers_bring() -> None:
    problem = Problem(kind="key-taken", status=409, detail="taken").with_members(
        data={"job_id": pgproto.UUID(ID.bytes), "created_at": datetime(2030, 1, 1, tzinfo=UTC)}
    )
    document = json.loads(bytes(problem.response("0" * 32).body))
    assert document["data"] == {"job_id": str(ID), "created_at": "2030-01-01T00:00:00Z"}
