"""What is known of one job and of what it needs to run. Reads change nothing and lock nothing."""

from typing import Final, Protocol

from schedora.diagnosis.why.inputs import ExplainInputs, QueuePosition
from schedora.domain.ids import JobId

UPSTREAM_MAX: Final = 20
"""Of so many jobs that stand in the way it is told what they do."""

HOPS_MAX: Final = 250
"""So far the way from cause to cause is followed."""

LANES_MAX: Final = 1_000
"""In so many lanes jobs that go first are counted."""


class ExplainInputsReader(Protocol):
    async def inputs(self, job_id: JobId) -> ExplainInputs | None:
        """None where there is no such job. Its cost grows with the number of live workers and of the jobs that this
        one depends on, and with nothing else.
        """
        ...

    async def position(self, inputs: ExplainInputs, *, ahead_max: int) -> QueuePosition | None:
        """What stands before a job that is ready, counted up to so many. None where that takes too long."""
        ...
