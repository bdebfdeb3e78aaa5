"""Clocks that go wrong."""

from datetime import datetime, timedelta

import pytest
from attrs import frozen

from schedora.adapters.system.clock import SystemClock
from schedora.diagnosis.doctor.finding import Severity
from schedora.domain.process import ProcessKind
from tests.postgres.checks.looking import (
    bad,
    examined,
    reported,
    the_one,
)


@frozen
class SkewedClock(SystemClock):
    ahead: timedelta

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.mark.parametrize(
    ("ahead", "severity", "words"),
    [(10, Severity.WARNING, "10 s ahead of"), (-120, Severity.CRITICAL, "2 min behind")],
)
async def test_a_clock_that_goes_wrong(url: str, ahead: int, severity: Severity, words: str) -> None:
    diagnosis = await examined(url, clock=SkewedClock(timedelta(seconds=ahead)))
    [finding] = bad(diagnosis)
    assert (finding.code, finding.severity) == ("clock_skewed", severity)
    assert ahead - 1 < float(str(finding.details["ahead_seconds"])) < ahead + 1


async def test_the_clock_of_another_process_that_goes_wrong(url: str) -> None:
    await reported(url, ProcessKind.REAPER, ahead=timedelta(seconds=10))
    finding = await the_one(url, "clock_skewed", Severity.WARNING)
    assert finding.details["process"] == "reaper p on h"
