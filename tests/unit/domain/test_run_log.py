"""What a run leaves."""

from schedora.domain.run_log import (
    LINE_LENGTH_MAX,
    LINES_LENGTH_MAX,
    SPANS_LENGTH_MAX,
    RunLog,
)
from tests.builders import a_claimed_job


def test_a_run_log_is_empty_at_first() -> None:
    job = a_claimed_job()
    run_log = RunLog(job_id=job.job_id, lease_token=job.lease_token, attempt=1, worker_id=job.worker_id)
    assert (run_log.lines, run_log.lines_dropped, run_log.spans, run_log.spans_dropped) == ((), 0, (), 0)


def test_the_longest_line_fits_among_the_lines() -> None:
    assert LINE_LENGTH_MAX <= LINES_LENGTH_MAX
    assert LINE_LENGTH_MAX <= SPANS_LENGTH_MAX
