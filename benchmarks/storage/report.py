"""Tables for people: medians with their spread, and ratios taken within each round."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.storage.experiments import Experiment
    from benchmarks.storage.rounds import Round


def table(experiment: Experiment, results: dict[str, list[Round]]) -> str:
    """Write one experiment as a Markdown table; ratios are against its first line, round by round."""
    first = results[experiment.cases[0].label]
    lines = [
        f"### {experiment.name}: {experiment.question}",
        "",
        "| | jobs/s, median (least to most) | ratio | in parts | submitted/s | WAL bytes a job | HOT | MB |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for label, rounds in results.items():
        drained = [one.drained for one in rounds]
        speeds = [one.jobs_per_second for one in drained]
        ratio = median(
            one.jobs_per_second / other.drained.jobs_per_second
            for one, other in zip(drained, first, strict=True)
        )
        parts = ""
        if experiment.parts > 1:
            by_part = zip(*(one.jobs_per_second_by_part for one in drained), strict=True)
            parts = " ".join(f"{median(part):,.0f}" for part in by_part)
        sizes = " ".join(
            f"{name} {median(one.table_megabytes[name] for one in rounds):.1f}"
            for name in rounds[0].table_megabytes
        )
        lines.append(
            f"| {label} | {_spread(speeds)} | {ratio:.2f} | {parts} "
            f"| {median(one.submitted_per_second for one in rounds):,.0f} "
            f"| {median(one.wal_bytes_per_job for one in drained):,.0f} "
            f"| {median(one.hot_ratio for one in drained):.2f} | {sizes} |"
        )
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
