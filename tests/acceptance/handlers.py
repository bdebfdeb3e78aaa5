"""The app that the server of these tests runs, beside the handlers that are built in."""

from pathlib import Path
from typing import Any

from schedora import Discard, JobContext, Retry, Schedora, Snooze

app = Schedora()


@app.job("stumbles")
async def stumbles(ctx: JobContext, times: int, message: str = "stumbled") -> None:
    """Is tried again at once so many times, then fails as the job's own policy wants it."""
    if ctx.attempt <= times:
        raise Retry(after=0)
    raise RuntimeError(message)


@app.job("needs_file")
async def needs_file(path: str) -> str:
    """Fails until the file is there."""
    return Path(path).read_text()


@app.job("discards")
async def discards(reason: str) -> None:
    """Gives up at once."""
    raise Discard(reason)


@app.job("snoozes")
async def snoozes(ctx: JobContext) -> str:
    """Sleeps on it once."""
    if ctx.lease_token == 1:
        raise Snooze(0)
    return f"attempt {ctx.attempt}"


@app.job("looks_upstream")
async def looks_upstream(ctx: JobContext) -> dict[str, Any]:
    """Returns what it sees of what it depends on."""
    return dict(ctx.upstream)


@app.job("adds")
def adds(left: int, right: int) -> int:
    """Takes two integers and nothing else."""
    return left + right


@app.job("answers_nan")
async def answers_nan() -> float:
    """Returns what JSON has no word for."""
    return float("nan")


@app.job("says")
async def says(ctx: JobContext, words: str) -> None:
    """Logs what it is given."""
    ctx.logger.info(words)


@app.job("counted_success")
async def counted_success() -> None:
    """For the one test that counts it: what others have done may be added to the totals a moment later."""


@app.job("counted_failure")
async def counted_failure() -> None:
    """As above."""
    raise RuntimeError("counted")
