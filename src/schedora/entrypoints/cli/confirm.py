"""Whether a person means what reaches far."""

import sys
from typing import Annotated

import typer

from schedora.entrypoints.cli.exits import Failed

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def make_sure(question: str, *, yes: bool) -> None:
    """Asks on a terminal; a script means what it says. Raises ``Failed`` when the answer is no."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not typer.confirm(question, err=True):
        raise Failed("nothing done")
