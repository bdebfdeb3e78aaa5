"""``schedora top --once``."""

import asyncio
import sys

from schedora.entrypoints.cli.exits import Failed
from schedora.entrypoints.cli.printing import console, print_json, print_line
from schedora.entrypoints.cli.top import snapshot
from schedora.entrypoints.cli.top.board import Board
from schedora.entrypoints.cli.top.watcher import Watcher
from schedora.entrypoints.sdk.client import AsyncSchedoraClient
from schedora.entrypoints.sdk.errors import Unavailable


def print_once(url: str, place: str, interval_seconds: float, *, as_json: bool) -> None:
    """How things are, after one interval."""
    asyncio.run(_print_once(url, place, interval_seconds, as_json=as_json))


async def _print_once(url: str, place: str, interval_seconds: float, *, as_json: bool) -> None:
    """Two looks: rates are the difference."""
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
        width = console().width if sys.stdout.isatty() else snapshot.WIDTH
        print_line(snapshot.text(board, look, place, width))
