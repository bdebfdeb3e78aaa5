"""``schedora top --once``."""

import asyncio
import sys

from schedora.entrypoints.cli.printing import console, print_json, print_line
from schedora.entrypoints.cli.server import answering
from schedora.entrypoints.cli.top import snapshot
from schedora.entrypoints.cli.top.board import Board
from schedora.entrypoints.cli.top.watcher import Watcher
from schedora.entrypoints.sdk.client import AsyncSchedoraClient


def print_once(url: str, place: str, interval_seconds: float, *, as_json: bool) -> None:
    """How things are, after one interval."""
    with answering(url):
        asyncio.run(_print_once(url, place, interval_seconds, as_json=as_json))


async def _print_once(url: str, place: str, interval_seconds: float, *, as_json: bool) -> None:
    """Two looks: rates are the difference."""
    board = Board(interval_seconds)
    async with AsyncSchedoraClient(url) as client:
        watcher = Watcher(client, board, interval_seconds)
        await watcher.look()
        await asyncio.sleep(interval_seconds)
        look = await watcher.look()
        await watcher.look_up_failures()
    if as_json:
        print_json(snapshot.document(board, look, place))
    else:
        width = console().width if sys.stdout.isatty() else snapshot.WIDTH
        print_line(snapshot.text(board, look, place, width))
