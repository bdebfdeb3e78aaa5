"""Why a job does not run, or what it does."""

from typing import Final

from attrs import frozen

from schedora.application.errors import NotFound
from schedora.application.ports.explain_inputs_reader import ExplainInputsReader
from schedora.diagnosis.why.explanation import Silence, why
from schedora.diagnosis.why.reason import Why
from schedora.domain.ids import JobId

AHEAD_MAX: Final = 100_000
"""Up to so many jobs that go first are counted: that takes a hundredth of a second."""


@frozen(kw_only=True)
class ExplainJob:
    reader: ExplainInputsReader
    silence: Silence

    async def __call__(self, job_id: JobId) -> Why:
        """Asks the store twice at most. Raises ``NotFound``."""
        inputs = await self.reader.inputs(job_id)
        if inputs is None:
            raise NotFound("job", job_id)
        position = await self.reader.position(inputs, ahead_max=AHEAD_MAX) if inputs.ready else None
        return why(inputs, position, self.silence)
