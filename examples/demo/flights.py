"""The second act: a year of flights counted month by month, while a worker is killed."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen
from examples.demo.checks import Checks
from examples.demo.graph_picture import draw_graph, legend
from examples.demo.places import Places
from examples.demo.stage import Stage
from examples.demo.steps import Run, Step, changes
from examples.demo.system import System
from examples.demo.watch import watch
from examples.flights.app import app, year_of_flights
from examples.flights.figures import Figures
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from schedora import AsyncSchedoraClient, JobView

RESAMPLES = 5_000
"""Draws of the bootstrap in each month: with the counting, about a second of work."""

PUBLISHED_MEAN_MINUTES = 12.64
"""The mean departure delay of this data set as it is known."""

EARLIEST, LATEST = timedelta(seconds=0.15), timedelta(seconds=0.6)
"""How far into its work a month is when its worker is killed: surely begun, surely not done."""

SECONDS_MAX = 120.0


@frozen(kw_only=True)
class Kill:
    """A worker that was killed, and the month that it was counting."""

    worker: str
    pid: int
    step: Step


@frozen(kw_only=True)
class FlightsResult:
    """How the workflow ended."""

    run: Run
    kill: Kill | None
    took_seconds: float


async def run_flights(
    client: AsyncSchedoraClient,
    *,
    places: Places,
    system: System,
    stage: Stage,
    victim: str,
) -> FlightsResult:
    """Submit the workflow and show it to its end; kill the worker `victim` in the middle of a month."""
    began = time.monotonic()
    async with app:
        flow = year_of_flights(
            "flights of 2013", directory=places.months, report=places.report, resamples=RESAMPLES
        )
        submitted = await flow.submit()
    kill: Kill | None = None
    runs: list[Run] = []
    with stage:
        async for seen in watch(
            client, {str(submitted.workflow_id): "flights"}, system, seconds_max=SECONDS_MAX
        ):
            stage.show(picture_of_flights(seen[0]), changes(runs, seen))
            runs = list(seen)
            if kill is None and (step := in_the_middle(runs[0], victim, now=datetime.now(UTC))):
                pid = system.pid(victim)
                await system.kill(victim)
                kill = Kill(worker=victim, pid=pid, step=step)
                stage.tell(f"SIGKILL to worker {victim} (pid {pid}) in the middle of {step.key}")
    return FlightsResult(run=runs[0], kill=kill, took_seconds=time.monotonic() - began)


def in_the_middle(run: Run, worker: str, *, now: datetime) -> Step | None:
    """Return a month that the worker has begun a moment ago, None when there is none just now."""
    return next(
        (
            step
            for step in run.steps
            if step.key.startswith("month")
            and step.status == "RUNNING"
            and step.worker == worker
            and step.started_at is not None
            and EARLIEST <= now - step.started_at <= LATEST
        ),
        None,
    )


def picture_of_flights(run: Run) -> Group:
    """Return the workflow's graph."""
    return Group(legend(), *draw_graph(run, with_keys=True))


async def judge_flights(
    result: FlightsResult,
    *,
    client: AsyncSchedoraClient,
    places: Places,
    system: System,
    console: Console,
    checks: Checks,
) -> None:
    """Count the year again in one process, show both side by side and note whether they agree."""
    checks.expect(
        "the workflow completed",
        holds=result.run.succeeded,
        found=f"{len(result.run.steps)} steps in {result.took_seconds:.1f} s",
    )
    await _judge_kill(result, client=client, system=system, checks=checks)
    if not result.run.succeeded:
        return
    merged = await client.get_job(result.run.step("merge").job_id)
    ours = Figures.from_json(merged.result)
    console.print("Counting the same year in one process, without a scheduler …")
    began = time.monotonic()
    printed = await system.output_of("plain", sys.executable, "-m", "examples.flights.plain", f"{RESAMPLES}")
    plain_seconds = time.monotonic() - began
    plain = Figures.from_json(json.loads(printed))
    console.print(side_by_side(ours, plain, result.took_seconds, plain_seconds))
    numbers = sum(len(groups) for groups in plain.tallies.values())
    checks.expect(
        "every figure equals that of the plain computation",
        holds=ours == plain,
        found=f"{numbers} groups, {len(plain.intervals)} intervals",
    )
    checks.expect(
        f"the mean departure delay is {PUBLISHED_MEAN_MINUTES} minutes",
        holds=round(ours.total.mean_departure_delay, 2) == PUBLISHED_MEAN_MINUTES,
        found=f"{ours.total.mean_departure_delay:.4f} by the workflow, "
        f"{plain.total.mean_departure_delay:.4f} by the plain computation",
    )
    written = places.report.stat().st_size if places.report.is_file() else 0
    checks.expect("the report was written", holds=written > 0, found=f"{written:,} bytes")


async def _judge_kill(
    result: FlightsResult, *, client: AsyncSchedoraClient, system: System, checks: Checks
) -> None:
    claim = "a worker was killed with SIGKILL in the middle of a month"
    if (kill := result.kill) is None:
        checks.expect(claim, holds=False, found="none was")
        return
    checks.expect(claim, holds=True, found=f"{kill.worker}, pid {kill.pid}, counting {kill.step.key}")
    workflow = await client.get_workflow(result.run.workflow_id)
    lost = [job for job in workflow.jobs if is_lost_with(job, kill.worker)]
    checks.expect(
        "what it was counting was counted again by another worker",
        holds=bool(lost) and all(job.status == "SUCCESS" and job.worker_id != kill.worker for job in lost),
        found="; ".join(
            f"{job.key}: worker_lost on {kill.worker}, {job.status} on {job.worker_id} at attempt {job.attempt}"
            for job in lost
        )
        or "nothing was lost with it",
    )
    ended = await system.orphans_ended()
    checks.expect(
        "no process that the killed worker had started lives on",
        holds=ended,
        found="all ended by themselves" if ended else "some still run",
    )


def is_lost_with(job: JobView[Any], worker: str) -> bool:
    """Tell whether an attempt at the job was lost because this worker was."""
    return any(error.kind == "worker_lost" and error.worker_id == worker for error in job.errors)


ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("flights", lambda figures: f"{figures.total.flights:,}"),
    ("flights that departed", lambda figures: f"{figures.total.departed:,}"),
    ("minutes of delay in all", lambda figures: f"{figures.total.departure_minutes:,}"),
    ("mean departure delay", lambda figures: f"{figures.total.mean_departure_delay:.2f} min"),
    ("mean arrival delay", lambda figures: f"{figures.total.mean_arrival_delay:.2f} min"),
    ("late by 15 minutes or more", lambda figures: f"{figures.total.late_share:.2%}"),
    ("from Newark", lambda figures: f"{figures.group('origin')['EWR'].mean_departure_delay:.2f} min"),
    ("in dry hours", lambda figures: f"{figures.group('precipitation')['dry'].mean_departure_delay:.2f} min"),
    (
        "in heavy rain",
        lambda figures: f"{figures.group('precipitation')['> .25'].mean_departure_delay:.2f} min",
    ),
    ("July, 95 % interval", lambda figures: _interval(figures, "all 7")),
)


def side_by_side(ours: Figures, plain: Figures, took_seconds: float, plain_seconds: float) -> Table:
    """Return the table of the workflow's figures beside the plain ones."""
    table = Table(
        title="The year, twice", title_justify="left", title_style="bold", header_style="dim", box=SIMPLE_HEAD
    )
    table.add_column("")
    table.add_column("workflow", justify="right")
    table.add_column("one process", justify="right")
    table.add_column("")
    for name, figure in ROWS:
        left, right = figure(ours), figure(plain)
        table.add_row(name, left, right, Text("=", "green") if left == right else Text("≠", "bold red"))
    table.add_section()
    table.add_row("took", f"{took_seconds:.1f} s", f"{plain_seconds:.1f} s", "")
    return table


def _interval(figures: Figures, series: str) -> str:
    interval = figures.intervals[series]
    return f"{interval.low_minutes:.2f} – {interval.high_minutes:.2f} min"
