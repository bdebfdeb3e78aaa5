"""Children that run handlers in a process of their own."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Protocol

from attrs import frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome


@frozen(kw_only=True)
class ProcessCall:
    """``target`` names the registered function as ``module:qualified.name``; ``started_at`` is by the store's clock."""

    target: str
    job: ClaimedJob
    started_at: datetime
    upstream: Mapping[str, JsonText | None]


class ProcessLink(Protocol):
    """What a child tells while its handler runs."""

    def report(self, progress: JsonText) -> None:
        """How far it is."""
        ...

    def leave_line(self, line: JsonText) -> None:
        """A line of the handler's log."""
        ...

    def leave_span(self, span: JsonText) -> None:
        """A span of the handler's own."""
        ...

    def written(self, completion: Completion, released: AbstractSet[str]) -> None:
        """The handler has completed the job inside its own transaction, which may commit or not. If it does,
        the queues ``released`` get claimable jobs.
        """
        ...


class Processes(Protocol):
    async def run(self, call: ProcessCall, *, link: ProcessLink) -> Outcome:
        """What the handler came to. ``link`` is told of what happens before.

        Cancelling this coroutine kills the child: when it has ended, so has the child. A child that dies by
        itself yields ``Failed`` with how it died.
        """
        ...

    async def close(self) -> None:
        """Ends every child."""
        ...
