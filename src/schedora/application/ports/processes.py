"""Children that run handlers in a process of their own."""

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen

from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome


@frozen(kw_only=True)
class ProcessCall:
    """``target`` names the registered function as ``module:qualified.name``."""

    target: str
    job: ClaimedJob
    upstream: Mapping[str, JsonText | None]


class Processes(Protocol):
    async def run(self, call: ProcessCall, *, report: Callable[[JsonText], None]) -> Outcome:
        """What the handler came to. ``report`` gets its progress.

        Cancelling this coroutine kills the child: when it has ended, so has the child. A child that dies by
        itself yields ``Failed`` with how it died.
        """
        ...

    async def close(self) -> None:
        """Ends every child."""
        ...
