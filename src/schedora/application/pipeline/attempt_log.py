"""What the log tells of each attempt that has come to its end: failures always, the rest to who asks for detail."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from schedora.application.encoding import decode_json
from schedora.application.log import ATTEMPTS, Logger
from schedora.application.telemetry.repetition import Repetition
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.job_state import JobState
from schedora.domain.trace import TraceContext

NAME = ATTEMPTS

log = Logger(NAME)
_detail = logging.getLogger(NAME)

Ended = tuple[ClaimedJob, Completion]
Kind = tuple[str, str, bool]


class AttemptLog:
    """For one worker. Of failures that are alike (one type of job, one kind of error) it tells some, and how many more
    there were: thousands a second may fail.
    """

    def __init__(self, *, payloads: bool = False, seconds: Callable[[], float] = time.monotonic) -> None:
        """``payloads``: whether lines tell them."""
        self._seconds = seconds
        self._payloads = payloads
        self._repetition = Repetition[Kind, Ended]()
        self._flushing: asyncio.TimerHandle | None = None

    def tell(self, settled: Iterable[Ended]) -> None:
        """To be called once the store has accepted them."""
        # Thousands of jobs a second succeed: nobody should pay for lines that nobody sees.
        in_detail = _detail.isEnabledFor(logging.DEBUG)
        now = self._seconds()
        for ended in settled:
            job, completion = ended
            if completion.error is None:
                if in_detail:
                    self._tell(job, completion)
                continue
            kind = (job.type, completion.error.kind, completion.status is JobState.DEAD)
            if in_detail or self._repetition.admits(kind, ended, now):
                self._tell(job, completion)
            elif self._flushing is None:
                self._flush_later()

    def flush(self) -> None:
        """Tells what was held back, though more may come."""
        self._tell_repeated(None)

    def _flush_later(self) -> None:
        until = self._repetition.holds_until()
        if until is not None:
            with suppress(RuntimeError):  # without a loop, ``flush`` tells it
                self._flushing = asyncio.get_running_loop().call_later(
                    until - self._seconds(), self._flush_what_is_over
                )

    def _flush_what_is_over(self) -> None:
        self._flushing = None
        self._tell_repeated(self._seconds())
        self._flush_later()

    def _tell_repeated(self, now: float | None) -> None:
        for repeated in self._repetition.take_over(now):
            self._tell(*repeated.last, repeated=repeated.count)

    def _tell(self, job: ClaimedJob, completion: Completion, *, repeated: int = 0) -> None:
        trace = TraceContext.parse(job.traceparent)
        told: dict[str, object] = {
            "job_id": str(job.job_id),
            "job_type": job.type,
            "worker_id": job.worker_id,
            "attempt": job.current_attempt,
            "trace_id": None if trace is None else trace.trace_id,
        }
        if job.workflow_id is not None:
            told["workflow_id"] = str(job.workflow_id)
        if completion.started_at is not None:
            span = completion.ended_at - completion.started_at
            told["duration_ms"] = round(span.total_seconds() * 1000, 3)
        if completion.error is not None:
            told |= {"kind": completion.error.kind, "error": completion.error.message}
        if self._payloads:
            told["payload"] = decode_json(job.payload)
        if repeated:
            told["repeated"] = repeated
        often = f"repeated {repeated} times: " if repeated else ""
        match completion.status:
            case JobState.SUCCESS:
                log.debug("job succeeded", **told)
            case JobState.RETRYING:
                event = f"{often}attempt failed, another follows"
                log.warning(event, **told, retry_at=str(completion.scheduled_at))
            case JobState.DEAD:
                event = f"{often}job failed for good"
                log.error(event, **told)
            case _:
                log.debug("job waits again", **told, reason=completion.moves[-1].reason)
