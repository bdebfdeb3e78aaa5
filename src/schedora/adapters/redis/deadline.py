"""By when a server must have done what it was asked for."""

import asyncio
from types import TracebackType
from typing import Self

_LATE_SECONDS = 0.05


class Deadline:
    """Raises ``TimeoutError`` in its context, as ``asyncio.timeout`` does, once ``seconds`` have passed or it is cut.

    A loop that a handler has kept comes to it late, and to the answers that lie there as well: then it is put off once, by
    as long as the loop was late and no longer than it was to be in the first place.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._over = False
        self._patient = True
        self._arm(seconds)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def put_off(self, seconds: float) -> None:
        """So many seconds from now. Raises ``TimeoutError`` where it is over."""
        if self._over:
            raise TimeoutError
        self._timer.cancel()
        self._arm(seconds)

    def cut(self) -> None:
        """It is over, at once."""
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._timeout.reschedule(self._loop.time())

    def _arm(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = self._loop.call_later(seconds, self._come)

    def _come(self) -> None:
        late = self._loop.time() - self._timer.when()
        if self._patient and late > _LATE_SECONDS:
            self._patient = False
            self._arm(min(late, self._seconds))
        else:
            self.cut()
