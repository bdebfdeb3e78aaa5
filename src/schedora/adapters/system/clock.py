"""The time of this machine."""

import asyncio
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> timedelta:
        return timedelta(microseconds=time.monotonic_ns() // 1000)

    async def sleep(self, span: timedelta) -> None:
        await asyncio.sleep(span.total_seconds())

    async def wait(self, event: asyncio.Event, at_most: timedelta | None) -> bool:
        if at_most is None:
            return await event.wait()
        try:
            async with asyncio.timeout(at_most.total_seconds()):
                return await event.wait()
        except TimeoutError:
            return event.is_set()
