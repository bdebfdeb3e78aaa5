"""What processes tell of themselves."""

from datetime import timedelta

from schedora.diagnosis.doctor.finding import Severity
from schedora.domain.process import ProcessKind
from tests.postgres.checks.looking import (
    codes,
    reported,
    the_one,
)


async def test_processes_without_a_reaper(url: str) -> None:
    await reported(url, ProcessKind.API, aged=timedelta(minutes=3))
    await the_one(url, "reaper_missing", Severity.WARNING)
    await reported(url, ProcessKind.REAPER)
    assert await codes(url) == []
