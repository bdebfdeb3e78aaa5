"""``schedora top``."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from schedora.entrypoints.cli.exits import Failed, Misused
from schedora.entrypoints.cli.printing import print_json, print_line
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, checked_url

INTERVAL_SECONDS = 2.0
CANNOT_POINT = frozenset({"", "dumb", "unknown"})
"""Terminals that write one line after the other, and nothing else."""


def top(
    *,
    interval: Annotated[
        float, typer.Option("--interval", min=0.5, max=60, metavar="SECONDS", help="From look to look.")
    ] = INTERVAL_SECONDS,
    once: Annotated[
        bool, typer.Option("--once", help="Print how things are, after one interval, and exit.")
    ] = False,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Show live what is going on: throughput, queues, workers, job types, failures."""
    place = checked_url(url)
    if as_json and not once:
        raise Misused("--json goes with --once")
    if once:
        asyncio.run(_once(url, place, interval, as_json=as_json))
        return
    # What is drawn goes to standard error, as every textual program has it; who sends the output elsewhere wants text.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream.isatty() for stream in streams) or os.environ.get("TERM", "") in CANNOT_POINT:
        raise Misused("top needs a terminal; --once prints how things are and exits")
    from schedora.entrypoints.cli.top.live import watch  # noqa: PLC0415 - --help must not load it

    raise typer.Exit(watch(url, place, interval))


async def _once(url: str, place: str, interval_seconds: float, *, as_json: bool) -> None:
    """Two looks: rates are the difference."""
    from schedora.entrypoints.cli.top import snapshot  # noqa: PLC0415 - --help must not load it
    from schedora.entrypoints.cli.top.board import Board  # noqa: PLC0415
    from schedora.entrypoints.cli.top.watcher import Watcher  # noqa: PLC0415
    from schedora.entrypoints.sdk.client import AsyncSchedoraClient  # noqa: PLC0415
    from schedora.entrypoints.sdk.errors import Unavailable  # noqa: PLC0415

    board = Board(interval_seconds)
    async with AsyncSchedoraClient(url) as client:
        watcher = Watcher(client, board, interval_seconds)
        try:
            await watcher.look()
            await asyncio.sleep(interval_seconds)
            look = await watcher.look()
            await watcher.look_up_failures()
        except Unavailable as error:
            if error.problem is not None:
                raise
            raise Failed(f"{place} can't be reached: {error}") from error
    if as_json:
        print_json(snapshot.document(board, look, place))
    else:
        print_line(snapshot.text(board, look, place))
