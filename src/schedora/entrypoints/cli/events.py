"""``schedora events``: follow the moves of jobs."""

from contextlib import closing
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from schedora.domain.job_state import JobState
from schedora.entrypoints.cli.printing import print_json, print_line, print_note
from schedora.entrypoints.cli.server import DEFAULT_URL, UrlOption, reached

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.event_views import StreamEvent

MISSED = {
    "lost": "Something may have been missed: it is kept no more, or was lost.",
    "unattended": "Something may have been missed while nobody looked on.",
    "unknown_id": "Something may have been missed: the server does not know where this stream was.",
}


def events(
    *,
    queue: Annotated[
        list[str] | None, typer.Option("--queue", help="May be repeated, as all of these.")
    ] = None,
    job_type: Annotated[list[str] | None, typer.Option("--type")] = None,
    status: Annotated[
        list[JobState] | None, typer.Option("--status", case_sensitive=False, help="What a job comes to.")
    ] = None,
    job: Annotated[list[UUID] | None, typer.Option("--job", metavar="ID")] = None,
    workflow: Annotated[list[UUID] | None, typer.Option("--workflow", metavar="ID")] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End after so many moves. Default: never.")
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON document a line.")] = False,
) -> None:
    """Show the moves of jobs as they happen; a server that goes away is waited for."""
    from schedora.entrypoints.cli.watching import move_line  # noqa: PLC0415 - --help must not load it
    from schedora.entrypoints.sdk.event_views import JobMove, StreamGap  # noqa: PLC0415 - as above

    def tell(event: "StreamEvent") -> None:
        if as_json:
            print_json(event)
        elif isinstance(event, JobMove):
            print_line(move_line(event))
        elif isinstance(event, StreamGap):
            print_note(MISSED.get(event.reason, event.reason))

    moves = 0
    with reached(url) as client:
        following = client.stream_events(
            queue=queue, type=job_type, status=status, job=job, workflow=workflow
        )
        with closing(following):
            for event in following:
                tell(event)
                moves += isinstance(event, JobMove)
                if moves == count:
                    return
