"""A year of flights counted by a workflow: extract → one job a month → merge → report.

The months are CPU-bound, so that each runs in a process of its own; run `schedora worker --app
examples.flights.app:app` as often as there are machines that see the same directory.
"""

from pathlib import Path
from typing import Any

from examples.flights.count import count
from examples.flights.figures import Figures, merge
from examples.flights.months import MONTHS, month_lines, split_by_month
from examples.flights.report import render_report
from examples.flights.source import airport_names, carrier_names, read_flights, read_weather, year_lines

from schedora import JobContext, Schedora, Workflow

app = Schedora()


@app.job("flights.extract", queue="flights", timeout_seconds=60)
def extract(directory: str) -> dict[str, int]:
    """Cut the year into one file a month; return the number of flights of each."""
    flights = split_by_month(year_lines(), Path(directory))
    return {str(month): number for month, number in flights.items()}


@app.job(
    "flights.month",
    queue="flights",
    executor="process",
    timeout_seconds=60,
    retry_policy="fixed",
    retry_base_seconds=1,
)
def count_month(directory: str, month: int, resamples: int) -> dict[str, Any]:
    """Return the figures of one month."""
    flights = read_flights(month_lines(Path(directory), month))
    return count(flights, read_weather(), resamples=resamples).to_json()


@app.job("flights.merge", queue="flights")
def merge_months(ctx: JobContext) -> dict[str, Any]:
    """Return the figures of the year, put together from those of its months."""
    return merge(Figures.from_json(ctx.upstream[month_key(month)]) for month in MONTHS).to_json()


@app.job("flights.report", queue="flights")
def write_report(ctx: JobContext, path: str) -> dict[str, str]:
    """Write the report as one HTML page; return where it lies."""
    figures = Figures.from_json(ctx.upstream["merge"])
    page = render_report(figures, carriers=carrier_names(), airports=airport_names())
    Path(path).write_text(page, encoding="utf-8")
    return {"report": path}


def year_of_flights(name: str, *, directory: Path, report: Path, resamples: int) -> Workflow:
    """Return the workflow, not yet submitted.

    The month files go to `directory`, the page to `report`; both must be paths that every worker sees.
    """
    flow = app.workflow(name)
    start = flow.add(extract.prepare(directory=str(directory)), key="extract")
    months = [
        flow.add(
            count_month.prepare(directory=str(directory), month=month, resamples=resamples),
            key=month_key(month),
            after=[start],
        )
        for month in MONTHS
    ]
    merged = flow.add(merge_months.prepare(), key="merge", after=months)
    flow.add(write_report.prepare(path=str(report)), key="report", after=[merged])
    return flow


def month_key(month: int) -> str:
    """Return the key of a month's step."""
    return f"month-{month:02}"
