"""What is known of one job and of what it needs to run. Reads change nothing and lock nothing."""

from typing import Final, Protocol

from schedora.domain.facts import JobFacts, Line
from schedora.domain.ids import JobId

UPSTREAM_MAX: Final = 20
"""Of so many jobs that stand in the way it is told what they do."""

HOPS_MAX: Final = 50
"""So far the way from cause to cause is followed."""

AHEAD_MAX: Final = 100_000
"""Up to so many jobs that go first are counted."""

LANES_MAX: Final = 1_000
"""In so many lanes."""


class FactsReader(Protocol):
    async def facts(self, job_id: JobId) -> JobFacts | None:
        """None where there is no such job. Its cost grows with the number of live workers and of the jobs that this
        one depends on, and with nothing else.
        """
        ...

    async def line(self, facts: JobFacts) -> Line | None:
        """What stands before a job that is ready. None where counting it takes too long."""
        ...
