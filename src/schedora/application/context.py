"""What a handler sees of its run."""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from schedora.application.encoding import encode_json, size_bytes
from schedora.application.errors import TooLarge
from schedora.application.log import run_logger
from schedora.application.run_scope import current_run
from schedora.application.telemetry.span import process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, LeaseToken, WorkflowId
from schedora.domain.trace import TraceContext


class RunLink(Protocol):
    """What a context asks of the worker that runs it."""

    @property
    def cancelled(self) -> bool:
        """Whether the run is no longer wanted. Thread-safe."""
        ...

    def report(self, progress: JsonText) -> None:
        """Notes progress, to be stored soon. Thread-safe."""
        ...

    def complete_in(self, connection: object, result: JsonText) -> Coroutine[Any, Any, None]:
        """Completes the job inside the transaction open on ``connection``. Raises ``LeaseLost``."""
        ...


class JobContext:
    """The run of one job, as its handler sees it."""

    def __init__(
        self,
        job: ClaimedJob,
        *,
        link: RunLink,
        upstream: Mapping[str, Any],
        result_bytes_max: int,
    ) -> None:
        self.job = job
        self.upstream = upstream
        """The results of what this job depends on, by key; by job id where there is no key."""
        self._link = link
        self._result_bytes_max = result_bytes_max
        self._run = current_run.get()
        self._log: Any = None

    @property
    def job_id(self) -> JobId:
        return self.job.job_id

    @property
    def workflow_id(self) -> WorkflowId | None:
        return self.job.workflow_id

    @property
    def attempt(self) -> int:
        """The number of this attempt, counted from 1."""
        return self.job.current_attempt

    @property
    def lease_token(self) -> LeaseToken:
        """Grows with each claim of this job. Store it with your writes elsewhere and refuse smaller ones:
        then a run that was given up can't overwrite the work of its successor.
        """
        return self.job.lease_token

    @property
    def trace_id(self) -> str | None:
        trace = TraceContext.parse(self.job.traceparent)
        return trace.trace_id if trace else None

    @property
    def traceparent(self) -> str:
        """This attempt's span, as the header of that name has it: what gets it is a child of the attempt."""
        job = self.job
        span_id = process_span_id(job.job_id, job.claimed_at)
        return TraceContext.stored(job.traceparent).followed_by(span_id).traceparent

    @property
    def cancelled(self) -> bool:
        """Whether this run is no longer wanted: canceled, timed out, or its lease was lost. A handler in a
        thread can't be stopped from outside and should look here now and then.
        """
        return self._link.cancelled

    @property
    def log(self) -> Any:
        """A structlog logger that carries the identity of job, workflow, worker and trace. What it is told at level
        INFO and above is kept with the job, as all is that is logged in this run.
        """
        if self._log is None:
            self._log = run_logger(self._run, self._identity)
        return self._log

    logger = log
    """The same."""

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Shows how far the run is: ``fraction`` in [0, 1]. Cheap; the newest report wins.

        Raises ``InvalidField``.
        """
        if not 0 <= fraction <= 1:
            raise InvalidField("fraction", fraction, "between 0 and 1")
        self._link.report(encode_json({"fraction": fraction, "message": message}))

    async def complete_in(self, connection: object, result: object = None) -> None:
        """Makes the job SUCCESS inside the transaction that the handler has open on ``connection``.

        The handler's own writes and the completion then commit together or not at all. Raises ``LeaseLost``
        when the job is no longer this run's: let it end the transaction. ``NotJson`` and ``TooLarge`` tell
        what is wrong with the result. Return right after the commit.
        """
        await self._link.complete_in(connection, self._encoded(result))

    def complete_in_sync(self, connection: object, result: object = None) -> None:
        """``complete_in`` for handlers in threads and processes, with a synchronous connection."""
        run_without_waiting(self._link.complete_in(connection, self._encoded(result)))

    def _identity(self) -> dict[str, object]:
        job = self.job
        told: dict[str, object] = {
            "job_id": str(job.job_id), "job_type": job.type, "worker_id": job.worker_id,
        }  # fmt: skip
        if job.workflow_id is not None:
            told["workflow_id"] = str(job.workflow_id)
        return told | {"attempt": self.attempt, "trace_id": self.trace_id}

    def _encoded(self, result: object) -> JsonText:
        text = encode_json(result)
        if (size := size_bytes(text)) > self._result_bytes_max:
            raise TooLarge("result", size, self._result_bytes_max)
        return text


def run_without_waiting(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that never suspends, as all are that work on a synchronous connection.

    Raises ``TypeError`` when it does suspend: then the connection was an asynchronous one.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise TypeError("the connection is asynchronous: use the asynchronous form of this call")
