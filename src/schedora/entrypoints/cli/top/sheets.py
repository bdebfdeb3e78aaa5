"""The four tables of ``schedora top``: what each column says."""

from collections.abc import Sequence

from schedora.entrypoints.cli.printing import STYLES, one_line
from schedora.entrypoints.cli.top import figures
from schedora.entrypoints.cli.top.board import Failure, QueueRow, TypeRow, WorkerRow
from schedora.entrypoints.cli.top.sheet import Cell, Column, Row

QUEUES = (
    Column(title="QUEUE", stretches=True),
    Column(title="WAITING", right=True),
    Column(title="RUNNING", right=True),
    Column(title="RETRYING", right=True, spare=1),
    Column(title="DEAD", right=True, least=5),
    Column(title="OLDEST READY", right=True, spare=2),
    Column(title="", least=6),
)
WORKERS = (
    Column(title="WORKER", stretches=True),
    Column(title="STATUS", least=8),
    Column(title="SLOTS", right=True, least=7),
    Column(title="HELD", right=True, least=4, spare=3),
    Column(title="CPU", right=True, least=4, spare=2),
    Column(title="MEM", right=True, least=4, spare=3),
    Column(title="HEARTBEAT", right=True, spare=1),
    Column(title="QUEUES", spare=4),
)
TYPES = (
    Column(title="TYPE", stretches=True),
    Column(title="DONE/S", right=True),
    Column(title="FAILED/S", right=True),
    Column(title="FAILED", right=True, spare=2),
    Column(title="SHARE", right=True, spare=1),
    Column(title="~P50", right=True, least=6),
    Column(title="~P95", right=True, least=6),
)
FAILURES = (
    Column(title="TIME", least=8),
    Column(title="TYPE"),
    Column(title="QUEUE", spare=2),
    Column(title="TO", least=8, spare=1),
    Column(title="KIND"),
    Column(title="MESSAGE", stretches=True),
)
NAME_MAX = 24
"""Characters of a name that does not stand first."""

BAD = "bold red"
FAINT = "dim"


def queue_rows(queues: Sequence[QueueRow]) -> list[Row]:
    return [
        Row(
            key=queue.name,
            cells=(
                Cell(one_line(queue.name)),
                Cell(figures.count(queue.waiting)),
                Cell(figures.count(queue.running)),
                Cell(figures.count(queue.retrying), "magenta" if queue.retrying else ""),
                Cell(figures.count(queue.dead), BAD if queue.dead else ""),
                Cell(figures.length(queue.oldest_ready_seconds)),
                Cell("paused" if queue.paused else "", "yellow"),
            ),
        )
        for queue in queues
    ]


def worker_rows(workers: Sequence[WorkerRow]) -> list[Row]:
    return [
        Row(
            key=worker.incarnation_id,
            cells=(
                Cell(one_line(worker.worker_id)),
                Cell(worker.status, STYLES.get(worker.status, "")),
                Cell(f"{figures.UNKNOWN if worker.slots_used is None else worker.slots_used}/{worker.slots}"),
                Cell(figures.count(worker.held)),
                Cell(figures.percent(worker.cpu_percent)),
                Cell(figures.percent(worker.memory_percent)),
                Cell(figures.length(worker.heartbeat_seconds_ago)),
                Cell(_cut(", ".join(worker.queues) or "all")),
            ),
        )
        for worker in workers
    ]


def type_rows(types: Sequence[TypeRow]) -> list[Row]:
    return [
        Row(
            key=row.type,
            cells=(
                Cell(one_line(row.type)),
                Cell(figures.rate(row.done_per_second)),
                Cell(figures.rate(row.failed_per_second), "red" if row.failed_per_second else ""),
                Cell(figures.count(row.failed), "red" if row.failed else ""),
                Cell(figures.share(row.failed_share), "red" if row.failed else ""),
                Cell(figures.length(row.p50_seconds)),
                Cell(figures.length(row.p95_seconds)),
            ),
        )
        for row in types
    ]


def failure_rows(failures: Sequence[Failure]) -> list[Row]:
    return [
        Row(
            key=failure.key,
            cells=(
                Cell(f"{failure.at.astimezone():%H:%M:%S}", FAINT),
                Cell(_cut(failure.type)),
                Cell(_cut(failure.queue)),
                Cell(failure.came_to, STYLES.get(failure.came_to, "")),
                Cell(_cut(failure.kind)),
                Cell("…" if failure.message is None else one_line(failure.message)),
            ),
        )
        for failure in failures
    ]


def _cut(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"
