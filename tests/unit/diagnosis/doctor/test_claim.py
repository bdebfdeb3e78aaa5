"""What the check of claim says."""

import pytest

from schedora.diagnosis.doctor.claim import ClaimPlan, TableScan
from schedora.diagnosis.doctor.finding import Observation
from tests.unit.diagnosis.doctor.told import CRITICAL, MIB, WARNING, Cases, Told, told_of

CASES: Cases = [
    (
        ClaimPlan(
            scans=[
                TableScan(node="Seq Scan", index=None),
                TableScan(node="Index Scan", index="job_ready_pkey"),
            ],
            size_bytes=9 * MIB,
        ),
        [
            (
                "claim_plan",
                CRITICAL,
                "a claim would go through job_ready (9.0 MB) by other ways than job_ready_lane_idx: Index Scan by job_ready_pkey, Seq Scan by no index",
                {"ways": "Index Scan by job_ready_pkey, Seq Scan by no index", "size_bytes": 9437184},
            )
        ],
    ),
    (
        ClaimPlan(compiled=True, user="u"),
        [("claim_compiled", WARNING, "the server would compile each claim (jit)", {"user": "u"})],
    ),
]


@pytest.mark.parametrize(("facts", "told"), CASES)
def test_what_is_told(facts: Observation, told: Told) -> None:
    assert told_of(facts) == told
