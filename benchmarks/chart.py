"""The overview as a chart: a panel for each headline, a bar for each system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.report import HEADLINES
from benchmarks.systems.catalogue import Role
from matplotlib import rc_context
from matplotlib.figure import Figure as Drawing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.report import Headline
    from benchmarks.results import Results
    from benchmarks.systems.catalogue import System
    from matplotlib.axes import Axes

COLORS = {Role.OURS: "#d1495b", Role.VARIANT: "#e59aa4", Role.LIMIT: "#c5c9cf", Role.PEER: "#30638e"}
COLUMNS = 3
PANEL_INCHES = (4.6, 0.6)
BAR_INCHES = 0.24


def draw(results: Results, systems: Mapping[str, System], path: Path) -> None:
    """Write an SVG; nothing when there is no headline in the results."""
    headlines = [
        headline for headline in HEADLINES if any(headline.figure(results, name) for name in results.systems)
    ]
    if not headlines:
        return
    rows = -(-len(headlines) // COLUMNS)
    height = PANEL_INCHES[1] + BAR_INCHES * len(results.systems)
    drawing = Drawing(figsize=(PANEL_INCHES[0] * COLUMNS, height * rows), layout="constrained")
    panels = drawing.subplots(rows, COLUMNS, squeeze=False).flat
    for headline, panel in zip(headlines, panels, strict=False):
        _panel(panel, headline, results, systems)
    for panel in panels:  # those left over
        panel.set_axis_off()
    with rc_context({"svg.hashsalt": "schedora", "svg.fonttype": "none"}):
        drawing.savefig(path, format="svg", metadata={"Date": None})


def _panel(panel: Axes, headline: Headline, results: Results, systems: Mapping[str, System]) -> None:
    measured = [
        (systems[name], figure)
        for name in results.systems
        if (figure := headline.figure(results, name)) is not None
    ]
    measured.sort(key=lambda one: one[1].median, reverse=not headline.more_is_better)
    medians = [figure.median for _, figure in measured]
    bars = panel.barh(
        [system.title for system, _ in measured],
        medians,
        xerr=[
            [figure.median - figure.least for _, figure in measured],
            [figure.most - figure.median for _, figure in measured],
        ],
        color=[COLORS[system.role] for system, _ in measured],
        error_kw={"elinewidth": 0.8, "ecolor": "#444444"},
    )
    panel.bar_label(bars, [f" {value:,.{headline.digits}f}" for value in medians], fontsize=8)
    panel.set_title(headline.title, fontsize=10, loc="left")
    panel.margins(x=0.25)
    panel.tick_params(labelsize=8)
    panel.xaxis.set_visible(False)
    for side in ("top", "right", "bottom"):
        panel.spines[side].set_visible(False)
