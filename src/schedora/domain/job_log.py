"""The log of a job: what is kept of the lines that its runs logged, and places in it to go on from."""

import re
from collections.abc import Iterable, Sequence
from typing import Self

from attrs import evolve, frozen

from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkerId
from schedora.domain.job_state import JobState
from schedora.domain.run_log import RunLog

_PLACE = re.compile(r"(\d{1,18})-(\d{1,18})", re.ASCII)


@frozen(order=True)
class LogPlace:
    """Behind a line: the ``number``-th that the run of this token logged, kept or not."""

    lease_token: int
    number: int

    def __str__(self) -> str:
        return f"{self.lease_token}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ``InvalidField`` for what is no place."""
        if (match := _PLACE.fullmatch(text)) is None:
            raise InvalidField("after", text, "what an earlier answer calls last")
        return cls(int(match[1]), int(match[2]))


@frozen(kw_only=True)
class RunLines:
    """Lines of one run: JSON objects, oldest first. ``dropped``: how many came before them that are kept no more."""

    attempt: int
    lease_token: LeaseToken
    worker_id: WorkerId
    dropped: int
    lines: tuple[JsonText, ...]


@frozen(kw_only=True)
class JobLog:
    """Oldest run first. ``last`` is the place behind all of it; None as long as there is nothing."""

    job_id: JobId
    status: JobState
    runs: tuple[RunLines, ...]
    last: LogPlace | None


def job_log(
    job_id: JobId,
    status: JobState,
    run_logs: Iterable[RunLog],
    *,
    attempt: int | None = None,
    after: LogPlace | None = None,
    tail: int | None = None,
) -> JobLog:
    """The log that ``run_logs``, oldest first, hold: of one ``attempt``, what came ``after`` a place, and of that the
    last ``tail`` lines. Runs of which nothing is left to tell are left out.
    """
    told = [run_log for run_log in run_logs if attempt in (None, run_log.attempt)]
    places = [_end(run_log) for run_log in told if _end(run_log).number]
    runs: Sequence[RunLines] = [_run_lines(run_log, after) for run_log in told]
    if tail is not None:
        runs = _last_lines(runs, tail)
    return JobLog(
        job_id=job_id,
        status=status,
        runs=tuple(run for run in runs if run.lines or run.dropped),
        last=max([*places, *([] if after is None else [after])], default=None),
    )


def _end(run_log: RunLog) -> LogPlace:
    return LogPlace(run_log.lease_token, run_log.lines_dropped + len(run_log.lines))


def _run_lines(run_log: RunLog, after: LogPlace | None) -> RunLines:
    seen = 0
    if after is not None and after.lease_token >= run_log.lease_token:
        seen = after.number if after.lease_token == run_log.lease_token else _end(run_log).number
    return RunLines(
        attempt=run_log.attempt,
        lease_token=run_log.lease_token,
        worker_id=run_log.worker_id,
        dropped=max(run_log.lines_dropped - seen, 0),
        lines=run_log.lines[max(seen - run_log.lines_dropped, 0) :],
    )


def _last_lines(runs: Sequence[RunLines], count: int) -> list[RunLines]:
    """Of the last runs, as far as so many lines reach back."""
    kept: list[RunLines] = []
    for run in reversed(runs):
        if count <= 0:
            break
        kept.append(evolve(run, lines=run.lines[-count:]))
        count -= len(run.lines)
    return kept[::-1]
