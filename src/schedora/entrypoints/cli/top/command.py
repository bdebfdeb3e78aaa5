"""``schedora top``."""

import os
import sys
from typing import Annotated

import typer

from schedora.entrypoints.cli.exits import Misused
from schedora.entrypoints.cli.printing import can_print
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, checked_url
from schedora.entrypoints.cli.top import figures

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
        from schedora.entrypoints.cli.top.once import print_once  # noqa: PLC0415 - --help must not load it

        print_once(url, place, interval, as_json=as_json)
        return
    # What is drawn goes to standard error, as every textual program has it; who sends the output elsewhere wants text.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if not all(stream.isatty() for stream in streams) or os.environ.get("TERM", "") in CANNOT_POINT:
        raise Misused("top needs a terminal; --once prints how things are and exits")
    if not can_print(figures.BLOCKS, sys.stderr):
        raise Misused("top needs a terminal that shows UTF-8; --once prints how things are and exits")
    from schedora.entrypoints.cli.top.live import watch  # noqa: PLC0415 - as above

    raise typer.Exit(watch(url, place, interval))
