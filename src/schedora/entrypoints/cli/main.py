"""The ``schedora`` command: every group of commands in its place."""

import io
import os
import sys
from typing import Annotated

import typer

import schedora
from schedora.entrypoints.cli import (
    dlq,
    doctor,
    events,
    health,
    jobs,
    processes,
    queues,
    torture,
    trace,
    why,
    workers,
    workflows,
)
from schedora.entrypoints.cli.exits import SchedoraCommand
from schedora.entrypoints.cli.top import command as top

PROCESSES = "Run Schedora"
TALK = "Talk to a running Schedora"

app = typer.Typer(
    name="schedora",
    cls=SchedoraCommand,
    help="A durable job scheduler and workflow orchestrator on PostgreSQL.",
    pretty_exceptions_enable=False,
)

for process in (
    processes.up,
    processes.api,
    processes.worker,
    processes.reaper,
    processes.migrate,
    torture.torture,
):
    app.command(rich_help_panel=PROCESSES)(process)
for group in (jobs, workflows, workers, queues, dlq):
    app.add_typer(group.app, rich_help_panel=TALK)
app.command(rich_help_panel=TALK)(why.why)
app.command(rich_help_panel=TALK)(trace.trace)
app.command(rich_help_panel=TALK)(top.top)
app.command(rich_help_panel=TALK)(events.events)
app.command(rich_help_panel=TALK)(health.health)
app.command(rich_help_panel=TALK)(doctor.doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"schedora {schedora.__version__}")
        raise typer.Exit


@app.callback()
def _schedora(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version  # the callback answers


def main() -> None:
    """Runs the command and ends the process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, who wants to hear nothing
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
        elif isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a character gets its escape
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
