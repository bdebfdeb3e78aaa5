"""Which runs a collector is told of."""

from datetime import timedelta

import attrs
import pytest

from schedora.application.pipeline.traces import export_runs
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.outcome import Failed, Outcome, Succeeded
from tests.builders import a_claimed_job
from tests.unit.application.exported import RecordedExport

Run = tuple[ClaimedJob, Completion]


def a_run(outcome: Outcome, flags: str) -> Run:
    job = attrs.evolve(a_claimed_job(), traceparent=f"00-{1:032x}-{1:016x}-{flags}")
    ended_at = job.claimed_at + timedelta(seconds=1)
    return job, settle(
        job, outcome, started_at=job.claimed_at, ended_at=ended_at, unit_random=0.0, worker_deaths_max=3
    )


GOOD, BAD = Succeeded(), Failed(kind="Broken", message="no")


@pytest.mark.parametrize(
    ("outcome", "flags", "told"),
    [(GOOD, "01", True), (GOOD, "00", False), (BAD, "01", True), (BAD, "00", True)],
)
def test_what_is_sampled_is_told_and_what_failed(outcome: Outcome, flags: str, told: bool) -> None:
    export, run = RecordedExport(), a_run(outcome, flags)
    export_runs(export, [run])
    assert export.batches == ([[run]] if told else [])


def test_a_batch_stays_together_and_in_order() -> None:
    runs = [a_run(GOOD, "01"), a_run(GOOD, "00"), a_run(BAD, "00")]
    export = RecordedExport()
    export_runs(export, iter(runs))
    assert export.batches == [[runs[0], runs[2]]]


def test_without_a_collector_nothing_is_looked_at() -> None:
    def never() -> object:
        raise AssertionError

    export_runs(None, iter(never, object()))  # type: ignore[arg-type] # nobody looks
