"""How the server plans a claim now: explained, not carried out."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from schedora.adapters.postgres.claim_cursor import BEGINNING
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement, load, written
from schedora.diagnosis.doctor.claim import ClaimPlan, TableScan

_TABLE = "job_ready"
_SETTINGS = written("""
select
    pg_relation_size(to_regclass('job_ready')) as size_bytes, current_user::text as "user",
    pg_jit_available() as jit, current_setting('jit_above_cost')::float8 as jit_above_cost
""")
# What there is to be claimed is of no matter for the plan: the statement says how it goes about it.
_WISH: dict[str, Any] = {
    "owner": UUID(int=0), "worker_id": "", "queues": [], "types": [""], "limit": 100, "start_count": 100,
}  # fmt: skip


async def claim(session: Session) -> ClaimPlan:
    (settings,) = await session.fetch(_SETTINGS)
    statement = load("claim")
    explain = Statement(f"explain (format json) {statement.text}", statement.parameters, statement.constants)
    (row,) = await session.fetch(explain, **_WISH, **BEGINNING.parameters)
    root = json.loads(row["QUERY PLAN"])[0]["Plan"]
    return ClaimPlan(
        scans=[
            TableScan(node=node["Node Type"], index=node.get("Index Name"))
            for node in _nodes(root)
            # A claim deletes by the place that it has found before.
            if node.get("Relation Name") == _TABLE
            and "Scan" in node["Node Type"]
            and node["Node Type"] != "Tid Scan"
        ],
        size_bytes=settings["size_bytes"],
        compiled=settings["jit"] and 0 <= settings["jit_above_cost"] < root["Total Cost"],
        user=settings["user"],
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
