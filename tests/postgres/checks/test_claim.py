"""How the server would carry out a claim."""

import pytest

from schedora.diagnosis.doctor import claim as claim_checks
from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import READY, Connection, bad, codes, examined


async def test_a_claim_that_would_read_everything(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_checks, "BIG_BYTES", 1)
    admin.execute(READY, [1_000])
    assert await codes(url) == []
    admin.execute("drop index job_ready_lane_idx")
    found = {finding.code: finding for finding in bad(await examined(url))}
    assert found.keys() == {"index_missing", "claim_plan"}
    assert found["claim_plan"].severity is Severity.CRITICAL


async def test_behind_a_pooler_a_claim_is_planned_as_everywhere(
    url: str, admin: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that was small when statistics were taken, which the server alone would read from end to end."""
    monkeypatch.setattr(claim_checks, "BIG_BYTES", 1)
    admin.execute(READY, [100])
    admin.execute("analyze job_ready")
    codes_there = {finding.code for _, finding in (await examined(url, pooled=True)).findings}
    assert "claim_plan" not in codes_there
