"""``schedora queues``: stats, pause, resume, retain, purge."""

from datetime import timedelta
from typing import Annotated

import typer

from schedora.domain.retention import RETENTION_MAX, RETENTION_MIN
from schedora.entrypoints.cli.arguments import named
from schedora.entrypoints.cli.confirm import YesOption, make_sure
from schedora.entrypoints.cli.exits import CommandGroup
from schedora.entrypoints.cli.printing import print_json, print_line, print_note, print_table
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, reached

app = typer.Typer(
    name="queues",
    cls=CommandGroup,
    help="Look at queues, pause, resume and purge them; say how long they keep what has ended.",
)

QueueArgument = Annotated[str, typer.Argument(metavar="QUEUE", show_default=False)]
KeptOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=RETENTION_MIN.total_seconds(),
        max=RETENTION_MAX.total_seconds(),
        help="After their end. Default: as the settings say.",
    ),
]


@app.command()
def stats(*, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show how full the queues are."""
    with reached(url) as client:
        found = client.queue_stats()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            name,
            queue.pending_jobs,
            queue.running_jobs,
            queue.dlq_jobs,
            None if queue.oldest_ready_seconds is None else timedelta(seconds=queue.oldest_ready_seconds),
            "paused" if queue.paused else None,
        )
        for name, queue in sorted(found.queues.items())
    ]
    total = ("(all)", found.pending_jobs, found.running_jobs, found.dlq_jobs, None, None)
    print_table(("QUEUE", "PENDING", "RUNNING", "DEAD", "OLDEST READY", ""), [*rows, total])
    if found.counted_seconds_ago:
        print_note(f"Counted {found.counted_seconds_ago:.1f} s ago: so many are not counted each time.")
    if found.unhandled_types:
        print_note(f"No live worker handles: {', '.join(found.unhandled_types)}")


@app.command()
def pause(queue: QueueArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Let the jobs of a queue wait; what runs goes on."""
    with reached(url) as client:
        paused = client.pause_queue(named(queue, "a queue"))
    if as_json:
        print_json(paused)
    else:
        print_line(f"{paused.queue}  paused")


@app.command()
def resume(queue: QueueArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Let the jobs of a queue run again."""
    with reached(url) as client:
        resumed = client.resume_queue(named(queue, "a queue"))
    if as_json:
        print_json(resumed)
    else:
        print_line(f"{resumed.queue}  resumed")


@app.command()
def retain(
    queue: QueueArgument,
    *,
    success: KeptOption = None,
    canceled: KeptOption = None,
    dead: KeptOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Say how long a queue keeps its ended jobs, in place of what was said before.

    What is not given goes by the settings of the reaper.
    """
    with reached(url) as client:
        kept = client.set_retention(named(queue, "a queue"), success=success, canceled=canceled, dead=dead)
    if as_json:
        print_json(kept)
        return
    spans = (kept.success_seconds, kept.canceled_seconds, kept.dead_seconds)
    rows = [(queue, *(None if span is None else timedelta(seconds=span) for span in spans))]
    print_table(("QUEUE", "SUCCESS", "CANCELED", "DEAD"), rows)


@app.command()
def purge(
    queue: Annotated[
        str | None, typer.Argument(metavar="[QUEUE]", help="Default: all of them.", show_default=False)
    ] = None,
    *,
    queue_option: Annotated[str | None, typer.Option("--queue", hidden=True)] = None,
    yes: YesOption = False,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Cancel every job that waits, in one queue or in all; what runs goes on."""
    name = queue_option if queue is None else queue
    make_sure(f"Cancel every job that waits in {f'queue {name}' if name else 'all queues'}?", yes=yes)
    with reached(url) as client:
        purged = client.purge_queue(None if name is None else named(name, "a queue"))
    if as_json:
        print_json({"message": "Queue purged successfully", "purged": purged})
    else:
        print_line(f"{purged} jobs canceled")
