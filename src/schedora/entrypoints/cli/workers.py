"""``schedora workers``: list, drain."""

from typing import Annotated

import typer

from schedora.domain.worker import WorkerState
from schedora.entrypoints.cli.arguments import named
from schedora.entrypoints.cli.exits import CommandGroup
from schedora.entrypoints.cli.printing import print_json, print_line, print_table
from schedora.entrypoints.cli.server import DEFAULT_URL, JsonOption, UrlOption, reached

app = typer.Typer(name="workers", cls=CommandGroup, help="Look at workers, drain them.")


@app.command("list")
def list_(
    *,
    status: Annotated[WorkerState | None, typer.Option("--status", case_sensitive=False)] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List workers, newest first."""
    with reached(url) as client:
        found = client.list_workers(status)
    if as_json:
        print_json(found)
        return
    rows = (
        (
            worker.worker_id,
            worker.status,
            f"{worker.running_jobs}/{worker.max_concurrent_jobs}" + _stuck(worker.stuck_threads),
            ", ".join(worker.queues) or "all",
            worker.hostname,
            worker.pid,
            worker.version,
            worker.last_heartbeat,
        )
        for worker in found
    )
    print_table(
        ("WORKER ID", "STATUS", "JOBS", "QUEUES", "HOST", "PID", "VERSION", "HEARTBEAT"),
        rows,
        spare=("VERSION", "HOST", "PID", "HEARTBEAT"),
    )


def _stuck(threads: int) -> str:
    """Slots that look free and are not."""
    return f", {threads} stuck" if threads else ""


@app.command()
def drain(
    worker_id: Annotated[str, typer.Argument(metavar="WORKER_ID", show_default=False)],
    *,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Let a worker finish what it runs and take nothing new."""
    with reached(url) as client:
        worker = client.drain_worker(named(worker_id, "a worker"))
    if as_json:
        print_json(worker)
    else:
        print_line(f"{worker.worker_id}  {worker.status}: {worker.running_jobs} jobs to finish")
