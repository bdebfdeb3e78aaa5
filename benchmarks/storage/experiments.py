"""The questions, each with the candidates that answer it side by side."""

from __future__ import annotations

from enum import Enum

from attrs import evolve, frozen
from benchmarks.storage.drain import PAYLOAD
from benchmarks.storage.layouts import Layout, Lease, Ready


class Stored(Enum):
    """What lies in the tables besides the jobs to be drained."""

    NOTHING = "nothing"
    FINISHED = "finished jobs"
    DELAYED = "delayed jobs at a higher priority"
    UNHANDLED = "ready jobs, ahead in the order, of a type that the worker does not know"


@frozen(kw_only=True)
class Case:
    """One line of a table: a candidate and how it is driven."""

    label: str
    layout: Layout
    k: int = 100
    connections: int = 1
    cursor: bool = True
    pinned_plans: bool = True
    stored: Stored = Stored.NOTHING
    snapshot: bool = False
    payload: str = PAYLOAD
    submit_batch: int = 1000
    autovacuum_naptime_seconds: int | None = None


@frozen(kw_only=True)
class Experiment:
    """Cases that are run in turn, round after round, so that drift of the machine hits them alike."""

    name: str
    question: str
    cases: list[Case]
    jobs: int = 10_000
    parts: int = 1
    stored_count: int = 0
    waves: int = 1


MARKED = Layout(name="A", lease=Lease.ROW_AND_MARK)
MARKED_FUSED = evolve(MARKED, name="A_fused", fused=True)
RECORD_LEASE = Layout(name="A_record", lease=Lease.RECORD)
RECORD_LEASE_FUSED = evolve(RECORD_LEASE, name="A_record_fused", fused=True)
DERIVED = Layout(name="B")
DERIVED_FUSED = evolve(DERIVED, name="D", fused=True)
SINGLE = Layout(name="C", ready=Ready.PARTIAL_INDEX, lease=Lease.RECORD)
SINGLE_FUSED = evolve(SINGLE, name="C_fused", fused=True)

LABELS = {
    MARKED: "A: ready + leases, claim marks the record",
    MARKED_FUSED: "A fused",
    RECORD_LEASE: "A': ready, lease in the record",
    RECORD_LEASE_FUSED: "A' fused",
    DERIVED: "B: ready + leases, record not written at claim",
    DERIVED_FUSED: "D: B fused",
    SINGLE: "C: one table, partial index",
    SINGLE_FUSED: "C fused",
}

BUSY_OPTIONS = """with (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
)"""


def experiments(stored_count: int, long_drain: int) -> list[Experiment]:
    """List every experiment; the two sizes scale the slow ones."""
    return [
        *(
            Experiment(
                name=f"candidates-k{k}-c{connections}",
                question=f"10,000 jobs in batches of {k}, {connections} connection{'s' * (connections > 1)}",
                cases=[
                    Case(label=label, layout=layout, k=k, connections=connections)
                    for layout, label in LABELS.items()
                ],
            )
            for k in (10, 100, 500)
            for connections in (1, 2)
        ),
        Experiment(
            name="runner-up",
            question="50,000 jobs in batches of 100: a lease row against lease columns of the record",
            jobs=50_000,
            cases=[
                Case(
                    label=f"{layout.name}, {connections} conn., {'snapshot held' if snapshot else 'no snapshot'}",
                    layout=layout,
                    connections=connections,
                    snapshot=snapshot,
                )
                for connections in (1, 2)
                for snapshot in (False, True)
                for layout in (DERIVED_FUSED, RECORD_LEASE_FUSED)
            ],
        ),
        *(
            Experiment(
                name=f"plans-k{k}",
                question=f"Plans pinned to key look-ups against plans made anew, batches of {k}",
                cases=[
                    Case(
                        label=f"{layout.name} {'pinned' if pinned else 'free'}",
                        layout=layout,
                        k=k,
                        pinned_plans=pinned,
                    )
                    for layout in (DERIVED, DERIVED_FUSED)
                    for pinned in (True, False)
                ],
            )
            for k in (10, 100)
        ),
        Experiment(
            name="ready",
            question="Indexes of the ready table",
            jobs=20_000,
            cases=[
                Case(label=f"{name}, k={k}", layout=evolve(DERIVED_FUSED, name=f"D_{name}", ready=ready), k=k)
                for k in (10, 100)
                for name, ready in {
                    "keyed": Ready.KEYED,
                    "ordered": Ready.ORDERED,
                    "by_tenant": Ready.ORDERED_BY_TENANT,
                    "with_type": Ready.ORDERED_WITH_TYPE,
                }.items()
            ],
        ),
        Experiment(
            name="fillfactor",
            question="Room left in the pages of the record",
            jobs=20_000,
            cases=[
                Case(
                    label=f"fillfactor {fill}",
                    layout=evolve(DERIVED_FUSED, name=f"D_{fill}", fillfactor=fill),
                )
                for fill in (100, 85, 70, 60, 50, 40)
            ],
        ),
        Experiment(
            name="width",
            question="The same for empty and for wide payloads",
            jobs=20_000,
            cases=[
                Case(
                    label=f"payload of {len(payload)} bytes, fillfactor {fill}",
                    layout=evolve(DERIVED_FUSED, name=f"D_{fill}", fillfactor=fill),
                    payload=payload,
                )
                for payload in ("{}", PAYLOAD, '{"data": "' + "0123456789" * 100 + '"}')
                for fill in (60, 50, 45, 40)
            ],
        ),
        Experiment(
            name="columns",
            question="Types of columns, and an index whose predicate reads the status",
            jobs=20_000,
            cases=[
                Case(label="json, text", layout=evolve(DERIVED_FUSED, name="D_json")),
                Case(
                    label="jsonb, text",
                    layout=evolve(DERIVED_FUSED, name="D_jsonb", json_type="jsonb"),
                ),
                Case(
                    label="json, status smallint",
                    layout=evolve(DERIVED_FUSED, name="D_small", status_type="smallint"),
                ),
                Case(
                    label="json, text, partial index on DEAD",
                    layout=evolve(DERIVED_FUSED, name="D_dead", dead_index=True),
                ),
            ],
        ),
        Experiment(
            name="submission",
            question="Jobs a statement, one connection",
            cases=[
                Case(label=f"{layout.name}, {batch:,} a statement", layout=layout, submit_batch=batch)
                for batch in (1, 50, 1000, 10_000)
                for layout in (
                    evolve(DERIVED_FUSED, name="D_ordered", ready=Ready.ORDERED),
                    DERIVED_FUSED,
                    SINGLE_FUSED,
                )
            ],
        ),
        Experiment(
            name="stored",
            question=f"20,000 jobs in batches of 100 over {stored_count:,} others",
            jobs=20_000,
            stored_count=stored_count,
            cases=[
                Case(
                    label=f"{layout.name} over {stored.value}, {connections} conn.",
                    layout=evolve(layout, name=f"{layout.name}_{stored.name}"),
                    connections=connections,
                    stored=stored,
                )
                for connections in (1, 2)
                for layout in (MARKED_FUSED, DERIVED, DERIVED_FUSED, SINGLE_FUSED)
                for stored in (Stored.NOTHING, Stored.FINISHED, Stored.DELAYED)
            ],
        ),
        Experiment(
            name="snapshot",
            question=f"{long_drain:,} jobs in batches of 100, a snapshot held open by another session or not",
            jobs=long_drain,
            parts=4,
            cases=[
                Case(
                    label=f"{layout.name}, {'cursor' if cursor else 'no cursor'}, {'snapshot' if snapshot else 'none'}",
                    layout=layout,
                    cursor=cursor,
                    snapshot=snapshot,
                )
                for snapshot in (False, True)
                for cursor in (True, False)
                for layout in (DERIVED, DERIVED_FUSED)
            ],
        ),
        Experiment(
            name="unhandled",
            question=f"20,000 jobs behind {long_drain:,} ready ones of a type that no worker here knows",
            jobs=20_000,
            stored_count=long_drain,
            cases=[
                Case(
                    label=f"{name}, {'cursor' if cursor else 'no cursor'}",
                    layout=evolve(DERIVED_FUSED, name=f"D_unhandled_{name}", ready=ready),
                    cursor=cursor,
                    stored=Stored.UNHANDLED,
                )
                for name, ready in {"ordered": Ready.ORDERED, "with_type": Ready.ORDERED_WITH_TYPE}.items()
                for cursor in (True, False)
            ],
        ),
        Experiment(
            name="autovacuum",
            question=f"{long_drain:,} jobs submitted and drained in waves of {long_drain // 40:,}",
            jobs=long_drain,
            parts=4,
            waves=40,
            cases=[
                Case(
                    label=f"{name}, {'cursor' if cursor else 'no cursor'}",
                    layout=layout,
                    cursor=cursor,
                    autovacuum_naptime_seconds=naptime,
                )
                for cursor in (True, False)
                for name, layout, naptime in (
                    ("never awake", DERIVED_FUSED, None),
                    ("awake every second, table defaults", DERIVED_FUSED, 1),
                    (
                        "awake every second, no cost delay on the small tables",
                        evolve(DERIVED_FUSED, name="D_tuned", busy_options=BUSY_OPTIONS),
                        1,
                    ),
                )
            ],
        ),
    ]
