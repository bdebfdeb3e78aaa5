"""``schedora dlq``: list, requeue."""

from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from schedora.entrypoints.cli.arguments import given
from schedora.entrypoints.cli.confirm import YesOption, make_sure
from schedora.entrypoints.cli.exits import CommandGroup, Misused
from schedora.entrypoints.cli.paging import filled
from schedora.entrypoints.cli.printing import print_json, print_line
from schedora.entrypoints.cli.server import (
    DEFAULT_URL,
    CursorOption,
    JsonOption,
    LimitOption,
    UrlOption,
    reached,
)
from schedora.entrypoints.cli.views import print_jobs, say_next

app = typer.Typer(
    name="dlq",
    cls=CommandGroup,
    help="Look at the dead letter queue: jobs that failed for good. Requeue them.",
)

TypeOption = Annotated[str | None, typer.Option("--type")]
QueueOption = Annotated[str | None, typer.Option("--queue")]
ErrorKindOption = Annotated[
    str | None, typer.Option("--error-kind", help="Of the last failure: an exception's class, timeout, ...")
]


@app.command("list")
def list_(
    *,
    job_type: TypeOption = None,
    queue: QueueOption = None,
    error_kind: ErrorKindOption = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List dead jobs, newest first."""
    with reached(url) as client:
        read = partial(client.list_dlq, type=job_type, queue=queue, error_kind=error_kind)
        page = filled(lambda limit, cursor: read(limit=limit, cursor=cursor), limit, cursor)
    if as_json:
        print_json(page)
        return
    print_jobs(page.data)
    say_next(page.next_cursor)


@app.command()
def requeue(
    job_ids: Annotated[
        list[UUID] | None,
        typer.Argument(metavar="[JOB_ID]...", help="Default: all that fit the options.", show_default=False),
    ] = None,
    *,
    job_type: TypeOption = None,
    queue: QueueOption = None,
    error_kind: ErrorKindOption = None,
    every: Annotated[bool, typer.Option("--all", help="Say that all are meant.")] = False,
    yes: YesOption = False,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Run dead jobs again: those named, those that fit the options, or all."""
    filters = given(type=job_type, queue=queue, error_kind=error_kind)
    if job_ids and (filters or every):
        raise Misused("name jobs, or choose them by options, not both")
    if not job_ids and not filters:
        make_sure("Run every dead job again?", yes=yes or every)
    with reached(url) as client:
        requeued = sum(client.requeue(job_id) for job_id in job_ids) if job_ids else client.requeue(**filters)
    if as_json:
        print_json({"requeued": requeued})
    else:
        print_line(f"{requeued} jobs requeued")
