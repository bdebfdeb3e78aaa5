"""One look, for where nobody looks on: as text, and as a document."""

import math
from collections.abc import Sequence
from typing import Any

import attrs

from schedora.entrypoints.cli.top import figures, sheets
from schedora.entrypoints.cli.top.board import Board, Look, Order, TypeRow
from schedora.entrypoints.cli.top.sheet import Column, Row, layout

WIDTH = 120
"""As wide as a table may get; what is narrower is not filled up."""

FAILURES_SHOWN = 10


def text(board: Board, look: Look, place: str, width: int = WIDTH) -> str:
    """All that is known since the last ``look``, in lines."""
    rates = board.rates()
    told = (
        f"submitted {figures.rate(rates.submitted)}/s",
        f"done {figures.rate(rates.done)}/s",
        f"failed {figures.rate(rates.failed)}/s",
        f"waiting {figures.count(look.stats.pending_jobs)}",
        f"running {figures.count(look.stats.running_jobs)}",
    )
    lines = [
        f"{place}  {status_line(look)}",
        "  ".join(told),
        *(f"! {note}" for note in board.notes()),
    ]
    for title, columns, rows in (
        ("queues", sheets.QUEUES, sheets.queue_rows(board.queues())),
        ("workers", sheets.WORKERS, sheets.worker_rows(board.workers())),
        (
            "job types, since counting began",
            sheets.TYPES,
            sheets.type_rows(board.types(order=Order.FAILING, ever=True)),
        ),
        ("newest failures", sheets.FAILURES, sheets.failure_rows(board.failures()[:FAILURES_SHOWN])),
    ):
        lines += ["", *_table(title, columns, rows, min(width, WIDTH))]
    return "\n".join(lines)


def document(board: Board, look: Look, place: str) -> dict[str, Any]:
    """The same for programs."""
    return {
        "at": look.now,
        "url": place,
        "health": look.health,
        "notes": board.notes(),
        "rates": board.rates(),
        "queues": board.queues(),
        "workers": board.workers(),
        "types": [_finite(row) for row in board.types(order=Order.FAILING, ever=True)],
        "failures": board.failures(),
    }


def _finite(row: TypeRow) -> TypeRow:
    """JSON has no infinity: beyond the last bucket, a length is not known."""
    return attrs.evolve(row, p50_seconds=_known(row.p50_seconds), p95_seconds=_known(row.p95_seconds))


def _known(seconds: float | None) -> float | None:
    return None if seconds == math.inf else seconds


def status_line(look: Look) -> str:
    """How the system is, in words."""
    health = look.health
    redis = "" if health.redis == "disabled" else f", redis {health.redis}"
    return f"{health.status} (database {health.database}{redis})"


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row], width: int) -> list[str]:
    if not rows:
        return [f"{title}: none"]
    narrowest = layout(columns, rows, width, filled=False)
    lines = [narrowest.heading(), *(narrowest.line(row) for row in rows)]
    return [title, *("".join(cell.text for cell in line).rstrip() for line in lines)]
