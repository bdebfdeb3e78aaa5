"""``schedora jobs``: submit, list, show, watch, read the log, cancel, retry."""

from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from schedora.domain.job_request import PRIORITY_MAX, PRIORITY_MIN
from schedora.domain.job_state import JobState
from schedora.domain.retry import RETRIES_LIMIT, RetryKind
from schedora.entrypoints.cli import arguments
from schedora.entrypoints.cli.exits import FAILED, CommandGroup, Failed
from schedora.entrypoints.cli.paging import filled
from schedora.entrypoints.cli.printing import print_json, print_line, print_note
from schedora.entrypoints.cli.server import (
    DEFAULT_URL,
    CursorOption,
    JsonOption,
    LimitOption,
    UrlOption,
    reached,
)
from schedora.entrypoints.cli.views import print_job, print_jobs, say_next

app = typer.Typer(name="jobs", cls=CommandGroup, help="Submit jobs, look at them, cancel and retry them.")

JobIdArgument = Annotated[UUID, typer.Argument(metavar="JOB_ID", show_default=False)]


@app.command()
def submit(  # noqa: PLR0913 - the options of the command
    job_type: Annotated[str, typer.Argument(metavar="TYPE", help="Names the handler.", show_default=False)],
    *,
    payload: Annotated[
        str | None, typer.Option("--payload", help="A JSON object, @FILE, or - for standard input.")
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option(
            "--arg", metavar="NAME=VALUE", help="Put into the payload; a VALUE that is JSON is that."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="The idempotency key. Default: one of its own.")
    ] = None,
    queue: Annotated[str | None, typer.Option("--queue", help="Default: that named default.")] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            "--priority", min=PRIORITY_MIN, max=PRIORITY_MAX, help="Higher runs sooner. Default: 5."
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="INSTANT", help="Not before: 2030-01-31T08:00:00Z.")
    ] = None,
    max_retries: Annotated[
        int | None,
        typer.Option("--max-retries", min=0, max=RETRIES_LIMIT, help="After the first attempt. Default: 3."),
    ] = None,
    retry_policy: Annotated[
        RetryKind | None, typer.Option("--retry-policy", case_sensitive=False, help="Default: exponential.")
    ] = None,
    retry_base: Annotated[
        float | None, typer.Option("--retry-base", min=0, metavar="SECONDS", help="Default: 60.")
    ] = None,
    retry_max: Annotated[
        float | None, typer.Option("--retry-max", min=0, metavar="SECONDS", help="Default: 3600.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0, metavar="SECONDS", help="For each attempt. Default: 300."),
    ] = None,
    workflow: Annotated[
        UUID | None, typer.Option("--workflow", metavar="ID", help="The workflow that it joins.")
    ] = None,
    depends_on: Annotated[
        list[UUID] | None,
        typer.Option(
            "--depends-on", metavar="JOB_ID", help="A job of the workflow to wait for; may be repeated."
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            "--wait", min=0, metavar="SECONDS", help="Wait for its end; 1 unless it is SUCCESS by then."
        ),
    ] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Submit a job.

    The same job under the same key again is found, not made twice; another job under that key fails.
    """
    from schedora.entrypoints.cli.documents import document  # noqa: PLC0415 - --help must not load it

    late: TimeoutError | None = None
    with reached(url) as client:
        job = client.submit(
            job_type,
            arguments.payload(payload, arg or []),
            idempotency_key=key,
            **arguments.given(
                queue=queue,
                priority=priority,
                scheduled_at=arguments.instant(at, "--at"),
                max_retries=max_retries,
                retry_policy=retry_policy,
                retry_base_seconds=retry_base,
                retry_max_seconds=retry_max,
                timeout_seconds=timeout,
                workflow_id=workflow,
                depends_on=depends_on,
            ),
        )
        if not job.same_request:
            raise Failed(f"the key {key} was taken by another request: it is job {job.job_id}")
        told = {"created": job.created, "same_request": job.same_request}
        if wait is not None:
            try:
                job = client.wait(job.job_id, wait)
            except TimeoutError as error:
                job, late = client.get_job(job.job_id), error
    if as_json:
        print_json({**document(job), **told})
    elif wait is None:
        made = "submitted" if job.created else "known already"
        print_line(f"{job.job_id}  {made}: {job.type} on queue {job.queue}, {job.status}")
    else:
        print_job(job)
    if late is not None:
        raise Failed(str(late))
    if wait is not None and job.status is not JobState.SUCCESS:
        raise typer.Exit(FAILED)


@app.command("list")
def list_(  # noqa: PLR0913 - the options of the command
    *,
    status: Annotated[
        list[JobState] | None, typer.Option("--status", case_sensitive=False, help="May be repeated.")
    ] = None,
    job_type: Annotated[str | None, typer.Option("--type")] = None,
    queue: Annotated[str | None, typer.Option("--queue")] = None,
    workflow: Annotated[UUID | None, typer.Option("--workflow", metavar="ID")] = None,
    worker: Annotated[str | None, typer.Option("--worker", metavar="ID")] = None,
    created_after: Annotated[str | None, typer.Option("--created-after", metavar="INSTANT")] = None,
    created_before: Annotated[str | None, typer.Option("--created-before", metavar="INSTANT")] = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    with reached(url) as client:
        read = partial(
            client.list_jobs,
            status=status or None,
            type=job_type,
            queue=queue,
            workflow_id=workflow,
            worker_id=worker,
            created_after=arguments.instant(created_after, "--created-after"),
            created_before=arguments.instant(created_before, "--created-before"),
        )
        page = filled(lambda limit, cursor: read(limit=limit, cursor=cursor), limit, cursor)
    if as_json:
        print_json(page)
        return
    print_jobs(page.data)
    say_next(page.next_cursor)


@app.command()
def show(job_id: JobIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show a job with all that is known of it."""
    with reached(url) as client:
        job = client.get_job(job_id)
    if as_json:
        print_json(job)
    else:
        print_job(job)


@app.command()
def watch(job_id: JobIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Show what happens to a job until it ends; exit with 1 unless it is SUCCESS."""
    from schedora.entrypoints.cli.watching import watch_job  # noqa: PLC0415 - --help must not load it

    with reached(url) as client:
        job = watch_job(client, job_id, silent=as_json)
    if as_json:
        print_json(job)
    if job.status is not JobState.SUCCESS:
        raise typer.Exit(FAILED)


@app.command()
def logs(
    job_id: JobIdArgument,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=1, max=10_000, help="The last lines. Default: all.")
    ] = None,
    attempt: Annotated[int | None, typer.Option("--attempt", min=1, help="Of this attempt alone.")] = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Show what a job's handler logged, as far as that is kept.

    With --follow, --json prints a document for each line.
    """
    from schedora.entrypoints.cli.job_logs import LogPrinter, follow_log  # noqa: PLC0415 - as above

    printer = LogPrinter(as_json=as_json)
    with reached(url) as client:
        if follow:
            for log in follow_log(client, job_id, tail=tail, attempt=attempt):
                printer.print(log)
            return
        log = client.job_logs(job_id, tail=tail, attempt=attempt)
    if as_json:
        print_json(log)
        return
    printer.print(log)
    if not log.runs:
        print_note("Nothing is kept of what it logged.")


@app.command()
def cancel(job_id: JobIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Cancel a job; one that runs is interrupted."""
    with reached(url) as client:
        canceled = client.cancel_job(job_id)
    if as_json:
        print_json(canceled)
    else:
        print_line(f"{canceled.job_id}  {canceled.status}: {canceled.message}")


@app.command()
def retry(job_id: JobIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False) -> None:
    """Run a job again that is DEAD or CANCELED."""
    with reached(url) as client:
        job = client.retry_job(job_id)
    if as_json:
        print_json(job)
    else:
        print_line(f"{job.job_id}  {job.status}: {job.type} on queue {job.queue} runs again")
