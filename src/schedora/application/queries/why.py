"""Why a job does not run, or what it does."""

from typing import Final

from attrs import frozen

from schedora.application.errors import NotFound
from schedora.application.ports.facts_reader import FactsReader
from schedora.diagnosis.why.explanation import Silence, why
from schedora.diagnosis.why.reason import Why
from schedora.domain.ids import JobId

AHEAD_MAX: Final = 100_000
"""Up to so many jobs that go first are counted: that takes a hundredth of a second."""


@frozen(kw_only=True)
class ExplainJob:
    facts: FactsReader
    silence: Silence

    async def __call__(self, job_id: JobId) -> Why:
        """Asks the store twice at most. Raises ``NotFound``."""
        facts = await self.facts.facts(job_id)
        if facts is None:
            raise NotFound("job", job_id)
        line = await self.facts.line(facts, ahead_max=AHEAD_MAX) if facts.ready else None
        return why(facts, line, self.silence)
