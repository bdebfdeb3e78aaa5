"""To wait for what can only be looked at again and again: what another process makes of itself."""

import asyncio
from collections.abc import Awaitable, Callable

PAUSE_SECONDS = 0.05


async def until(holds: Callable[[], Awaitable[bool]], bound_seconds: float) -> bool:
    """Whether it came to hold within the bound. What it is doing then is ended."""
    try:
        async with asyncio.timeout(bound_seconds):
            while True:
                if await holds():
                    return True
                await asyncio.sleep(PAUSE_SECONDS)
    except TimeoutError:
        return False
