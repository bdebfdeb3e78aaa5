"""Whether what a process depends on is there."""

from typing import Protocol


class Health(Protocol):
    async def check(self) -> None:
        """Raises ``StoreUnavailable`` with the reason, within a second or two: also where it can be read but not written."""
        ...
