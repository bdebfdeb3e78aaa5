"""``schedora workflows``: submit, list, show, watch, cancel, retry."""

from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from schedora.domain.workflow import WorkflowState
from schedora.entrypoints.cli import arguments
from schedora.entrypoints.cli.exits import FAILED, CommandGroup
from schedora.entrypoints.cli.paging import filled
from schedora.entrypoints.cli.printing import print_json, print_line, print_table
from schedora.entrypoints.cli.server import (
    DEFAULT_URL,
    CursorOption,
    JsonOption,
    LimitOption,
    UrlOption,
    reached,
)
from schedora.entrypoints.cli.views import print_steps, print_workflow, say_next

app = typer.Typer(
    name="workflows", cls=CommandGroup, help="Submit workflows, look at them, cancel and retry them."
)

WorkflowIdArgument = Annotated[UUID, typer.Argument(metavar="WORKFLOW_ID", show_default=False)]


@app.command()
def submit(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="JSON as POST /workflows takes it; - is standard input.", show_default=False
        ),
    ],
    *,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """Submit a workflow with its whole graph: {"name": ..., "jobs": [{"key": ..., "type": ...}]}."""
    from schedora.entrypoints.sdk.api_views import CreatedWorkflow  # noqa: PLC0415 - --help must not load it
    from schedora.entrypoints.sdk.conversation import Call, ask  # noqa: PLC0415
    from schedora.entrypoints.sdk.decoding import data  # noqa: PLC0415

    body = arguments.json_object(arguments.read_text(file, "the workflow"), "the workflow")
    # As it is: the server says what is wrong with a workflow, field by field.
    call = Call(method="POST", path="/workflows", body=body, decode=data(CreatedWorkflow))
    with reached(url) as client:
        created = client.hold(ask(call))
    if as_json:
        print_json(created)
    else:
        print_line(
            f"{created.workflow_id}  submitted: {created.name}, {len(created.jobs)} jobs, {created.status}"
        )


@app.command("list")
def list_(
    *,
    status: Annotated[WorkflowState | None, typer.Option("--status", case_sensitive=False)] = None,
    name: Annotated[str | None, typer.Option("--name")] = None,
    limit: LimitOption = 50,
    cursor: CursorOption = None,
    url: UrlOption = DEFAULT_URL,
    as_json: JsonOption = False,
) -> None:
    """List workflows, newest first."""
    with reached(url) as client:
        read = partial(client.list_workflows, status=status, name=name)
        page = filled(lambda limit, cursor: read(limit=limit, cursor=cursor), limit, cursor)
    if as_json:
        print_json(page)
        return
    rows = (
        (
            workflow.workflow_id,
            workflow.name,
            workflow.status,
            f"{workflow.completed_jobs}/{workflow.total_jobs}",
            workflow.failed_jobs,
            workflow.canceled_jobs,
            workflow.created_at,
        )
        for workflow in page.data
    )
    print_table(
        ("WORKFLOW ID", "NAME", "STATUS", "DONE", "FAILED", "CANCELED", "CREATED"),
        rows,
        spare=("CANCELED", "CREATED"),
    )
    say_next(page.next_cursor)


@app.command()
def show(
    workflow_id: WorkflowIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False
) -> None:
    """Show a workflow with its jobs."""
    with reached(url) as client:
        workflow = client.get_workflow(workflow_id)
    if as_json:
        print_json(workflow)
        return
    print_workflow(workflow)
    print_steps(workflow)


@app.command()
def watch(
    workflow_id: WorkflowIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False
) -> None:
    """Show the progress of a workflow until it ends; exit with 1 unless it is SUCCESS."""
    from schedora.entrypoints.cli.watching import watch_workflow  # noqa: PLC0415 - --help must not load it

    with reached(url) as client:
        workflow = watch_workflow(client, workflow_id, silent=as_json)
    if as_json:
        print_json(workflow)
    if workflow.status is not WorkflowState.SUCCESS:
        raise typer.Exit(FAILED)


@app.command()
def cancel(
    workflow_id: WorkflowIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False
) -> None:
    """Cancel what has not ended of a workflow."""
    with reached(url) as client:
        workflow = client.cancel_workflow(workflow_id)
    if as_json:
        print_json(workflow)
    else:
        print_line(f"{workflow.workflow_id}  {workflow.status}: {workflow.canceled_jobs} jobs canceled")


@app.command()
def retry(
    workflow_id: WorkflowIdArgument, *, url: UrlOption = DEFAULT_URL, as_json: JsonOption = False
) -> None:
    """Run again what failed of a workflow, and what waited for it."""
    with reached(url) as client:
        workflow = client.retry_workflow(workflow_id)
    if as_json:
        print_json(workflow)
    else:
        print_line(f"{workflow.workflow_id}  {workflow.status}: {workflow.pending_jobs} jobs run again")
