"""The handlers that every app has: enough to try things with."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

Sleep = Callable[[timedelta], Awaitable[None]]


class AskedToFail(Exception):
    """What a job of type ``fail`` raises."""


async def echo(**payload: Any) -> dict[str, Any]:
    """Returns its payload."""
    return payload


async def fail(message: str = "asked to fail") -> None:
    """Fails with ``message``."""
    raise AskedToFail(message)


def sleeper(sleep_for: Sleep) -> Callable[..., Awaitable[None]]:
    """The handler ``sleep``, by some clock."""

    async def sleep(seconds: Annotated[float, Field(ge=0, le=timedelta.max.total_seconds())]) -> None:
        """Does nothing for so long."""
        await sleep_for(timedelta(seconds=seconds))

    return sleep


def functions(sleep_for: Sleep) -> dict[str, Callable[..., Awaitable[Any]]]:
    """The built-in handlers by type."""
    return {"echo": echo, "sleep": sleeper(sleep_for), "fail": fail}
