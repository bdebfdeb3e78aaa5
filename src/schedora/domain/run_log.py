"""What a run leaves beside its outcome: the last lines of its log, and the spans that its handler made."""

from attrs import frozen

from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId

LINES_MAX = 200
"""Lines kept of one run; the oldest go first."""
LINE_LENGTH_MAX = 8_000
"""Characters of one line; what is longer is not kept whole."""
LINES_LENGTH_MAX = 64_000
"""Characters of all lines of one run together."""
SPANS_MAX = 128
"""Spans kept of one run; the newest are left out, for those before have them as parents."""
SPANS_LENGTH_MAX = 256_000
"""Characters of all spans of one run together."""
RUNS_MAX = 20
"""The run logs of so many claims of a job are kept, counted back from the newest that has one."""


@frozen(kw_only=True)
class RunLog:
    """Of one run, which its job's ``lease_token`` names. ``attempt`` is counted from 1."""

    job_id: JobId
    lease_token: LeaseToken
    attempt: int
    worker_id: WorkerId
    lines: tuple[JsonText, ...] = ()
    """JSON objects in the shape of log lines, oldest first."""
    lines_dropped: int = 0
    """How many came before them, or were too long."""
    spans: tuple[JsonText, ...] = ()
    """JSON objects in the shape of OTLP, in the order in which they ended."""
    spans_dropped: int = 0
