"""The report as one page: pictures drawn as SVG, nothing loaded from anywhere."""

from collections.abc import Callable, Iterator, Sequence
from html import escape
from math import log10

from attrs import frozen

from schedora_torture.faults import IN_WORDS, ON_LINKS, ON_REDIS, POSTGRES_AWAY, FaultKind
from schedora_torture.measures import Recovery
from schedora_torture.report import BREACHES_TOLD, Report, lines, verdict_line

WIDTH = 1000
LEFT, RIGHT = 92, 10
LANE_HEIGHT = 22
CHART_HEIGHT = 130
GAP = 34
LEAST_MS = 1.0

_POSTGRES = frozenset(
    {
        FaultKind.RESTART_POSTGRES,
        FaultKind.CRASH_POSTGRES,
        FaultKind.TERMINATE_BACKENDS,
        FaultKind.EXHAUST_POOLS,
        FaultKind.EXHAUST_SERVER,
    }
)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5c6670; --paper: #ffffff; --line: #d9dee3; --held: #1a7f37;
  --violated: #c62f2f; --workers: #b35900; --servers: #8250df; --postgres: #0b63c5; --network: #0f7b83; --redis: #c2255c;
  --fill: #7aa7d9; --p50: #0b63c5; --p99: #b35900; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --soft: #9aa5af; --paper: #14181c; --line: #333b43;
  --held: #4cc26a; --violated: #ff7b72; --workers: #f0a04b; --servers: #b794f6; --postgres: #6cb2ff; --network: #4fc3ca;
  --redis: #ff7fab; --fill: #3f638c; --p50: #6cb2ff; --p99: #f0a04b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1080px; padding: 24px 16px 64px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.held { color: var(--held); } .violated { color: var(--violated); } .soft { color: var(--soft); }
.wide { overflow-x: auto; } svg { display: block; width: 100%; min-width: 640px; height: auto; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; } svg .axis { stroke: var(--line); }
svg .name { fill: var(--ink); }
table { border-collapse: collapse; min-width: 640px; width: 100%; } th { text-align: left; font-weight: 600; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.figure, th.figure { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { overflow-x: auto; padding: 12px; border: 1px solid var(--line); border-radius: 6px; font-size: 13px; margin: 0; }
details { margin: .25rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
""".strip()


@frozen
class _Lane:
    name: str
    colour: str
    kinds: frozenset[FaultKind]


_LANES = (
    _Lane(
        "workers",
        "workers",
        frozenset(
            {FaultKind.KILL_WORKER, FaultKind.FREEZE_WORKER, FaultKind.DRAIN_WORKER, FaultKind.BLOCK_LOOP}
        ),
    ),
    _Lane("API, reapers", "servers", frozenset({FaultKind.KILL_API, FaultKind.KILL_REAPER})),
    _Lane("PostgreSQL", "postgres", _POSTGRES),
    _Lane("network", "network", ON_LINKS),
    _Lane("Redis", "redis", ON_REDIS),
)


def page(report: Report) -> str:
    """A whole HTML document."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    title = f"Torture, seed {report.plan.seed}"
    verdict = "held" if report.held else "violated" if report.breaches else "nothing tried"
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}: {verdict}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>"
    yield f"<h1>{escape(title)}</h1>"
    colour = "held" if report.held else "violated"
    yield f'<p class="{colour}"><strong>{escape(verdict_line(report))}</strong></p>'
    yield f'<h2>Faults, and what became of the work</h2>\n<div class="wide">{_picture(report)}</div>'
    yield (
        '<p class="soft">Jobs that ended in each second; and how long jobs that became ready in it waited to be picked'
        " up, on a logarithmic scale. Bars are faults: hover for what and whom.</p>"
    )
    yield from _breaches(report)
    yield from _kinds(report)
    yield from _tracebacks(report)
    told = "\n".join(lines(report))
    yield f"<h2>In words</h2>\n<pre>{escape(told)}</pre>\n</body>\n</html>"


def _picture(report: Report) -> str:
    lanes = [lane for lane in _LANES if any(one.strike.fault.kind in lane.kinds for one in report.recoveries)]
    span = max([1.0, len(report.seconds), *(one.strike.ended_seconds for one in report.recoveries)])
    lanes_height = LANE_HEIGHT * len(lanes)
    throughput_top = lanes_height + GAP
    waiting_top = throughput_top + CHART_HEIGHT + GAP
    height = waiting_top + CHART_HEIGHT + 24
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="Faults, throughput and pick-up over time">'
    ]
    for row, lane in enumerate(lanes):
        parts += _lane(lane, row, report.recoveries, span)
    parts += _shades(report, span, throughput_top, height - 24)
    parts += _throughput(report, span, throughput_top)
    parts += _waiting(report, span, waiting_top)
    parts += _time_axis(span, height - 24)
    parts.append("</svg>")
    return "\n".join(parts)


def _x(seconds: float, span: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * seconds / span


def _lane(lane: _Lane, row: int, recoveries: Sequence[Recovery], span: float) -> Iterator[str]:
    top = row * LANE_HEIGHT + 4
    yield f'<text class="name" x="{LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(lane.name)}</text>'
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{top + 17}" y2="{top + 17}"/>'
    for recovery in recoveries:
        strike = recovery.strike
        if strike.fault.kind in lane.kinds:
            x = _x(strike.began_seconds, span)
            width = max(2.5, _x(strike.ended_seconds, span) - x)
            told = f"{strike.fault.kind} {strike.victim}".strip()
            yield (
                f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="15" rx="2" style="fill:var(--{lane.colour})"'
                f' fill-opacity=".8"><title>{escape(told)}, {strike.began_seconds:.1f} to'
                f" {strike.ended_seconds:.1f} s</title></rect>"
            )


def _shades(report: Report, span: float, top: float, bottom: float) -> Iterator[str]:
    """Where the database was away, throughout the charts."""
    for recovery in report.recoveries:
        strike = recovery.strike
        if strike.fault.kind in POSTGRES_AWAY:
            x = _x(strike.began_seconds, span)
            width = max(1.0, _x(strike.ended_seconds, span) - x)
            yield (
                f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="{bottom - top}"'
                ' style="fill:var(--postgres)" fill-opacity=".12"/>'
            )


def _throughput(report: Report, span: float, top: float) -> Iterator[str]:
    most = max([1, *(second.ended for second in report.seconds)])
    yield from _frame("jobs/s", top, [(0, "0"), (most, f"{most}")], lambda value: 1 - value / most)
    width = max(0.5, (WIDTH - LEFT - RIGHT) / span - 0.5)
    for second in report.seconds:
        tall = CHART_HEIGHT * second.ended / most
        yield (
            f'<rect x="{_x(second.at, span):.1f}" y="{top + CHART_HEIGHT - tall:.1f}" width="{width:.2f}"'
            f' height="{tall:.1f}" style="fill:var(--fill)"/>'
        )


def _waiting(report: Report, span: float, top: float) -> Iterator[str]:
    most = max([100.0, *(second.p99_ms for second in report.seconds if second.p99_ms is not None)])
    decades = log10(most / LEAST_MS)

    def down(ms: float) -> float:
        return 1 - min(1.0, max(0.0, log10(max(ms, LEAST_MS) / LEAST_MS) / decades))

    marks = [(10.0**power, _duration(10.0**power)) for power in range(6) if 10.0**power <= most]
    yield from _frame("pick-up", top, marks, down)
    for name, label in (("p50", "p50"), ("p99", "p99")):
        for points in _unbroken(report, name):
            drawn = " ".join(
                f"{_x(at + 0.5, span):.1f},{top + CHART_HEIGHT * down(ms):.1f}" for at, ms in points
            )
            yield (
                f'<polyline points="{drawn}" fill="none" style="stroke:var(--{name})" stroke-width="1.6"'
                ' stroke-linecap="round"/>'
            )
        place = WIDTH - RIGHT - (70 if name == "p50" else 30)
        yield f'<text x="{place}" y="{top - 6}" style="fill:var(--{name})">{label}</text>'


def _unbroken(report: Report, name: str) -> Iterator[list[tuple[int, float]]]:
    """Stretches of seconds in which something was picked up."""
    points: list[tuple[int, float]] = []
    for second in report.seconds:
        ms = second.p50_ms if name == "p50" else second.p99_ms
        if ms is None:
            if points:
                yield points
            points = []
        else:
            points.append((second.at, ms))
    if points:
        yield points


def _frame(
    name: str, top: float, marks: Sequence[tuple[float, str]], down: Callable[[float], float]
) -> Iterator[str]:
    yield f'<text class="name" x="{LEFT - 8}" y="{top - 12}" text-anchor="end">{name}</text>'
    for value, label in marks:
        y = top + CHART_HEIGHT * down(value)
        yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'


def _time_axis(span: float, y: float) -> Iterator[str]:
    step = next((step for step in (5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600) if span / step <= 12), 7200)
    for at in range(0, int(span) + 1, step):
        label = f"{at} s" if span < 180 else f"{at // 60}:{at % 60:02}"
        yield f'<text x="{_x(at, span):.1f}" y="{y + 18}" text-anchor="middle">{label}</text>'


def _duration(ms: float) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _breaches(report: Report) -> Iterator[str]:
    if not report.breaches:
        return
    yield "<h2>Violations</h2>"
    for breach in report.breaches[:BREACHES_TOLD]:
        told = f"<strong>{escape(str(breach.promise))}</strong>: {escape(breach.subject)}: {escape(breach.detail)}"
        if breach.history:
            happened = escape("\n".join(breach.history))
            yield f"<details><summary>{told}</summary><pre>{happened}</pre></details>"
        else:
            yield f"<p>{told}</p>"
    if (more := len(report.breaches) - BREACHES_TOLD) > 0:
        yield f"<p>… and {more:,} more.</p>"


def _kinds(report: Report) -> Iterator[str]:
    yield '<h2>Recovery</h2>\n<div class="wide"><table>'
    yield (
        '<tr><th>fault</th><th class="figure">times</th><th class="figure">next job done</th>'
        '<th class="figure">at most</th><th>what it is</th></tr>'
    )
    for kind, times in report.by_kind.items():
        found = report.first_done(kind)
        figures = (f"{found.median:.2f} s", f"{found.largest:.2f} s") if found else ("", "")
        yield (
            f'<tr><td>{kind}</td><td class="figure">{times}</td><td class="figure">{figures[0]}</td>'
            f'<td class="figure">{figures[1]}</td><td>{escape(IN_WORDS[kind])}</td></tr>'
        )
    yield "</table></div>"


def _tracebacks(report: Report) -> Iterator[str]:
    found = report.logs.tracebacks
    if not found:
        return
    yield "<h2>Tracebacks in the logs</h2>"
    yield '<div class="wide"><table><tr><th class="figure">times</th><th>said</th><th>first in</th></tr>'
    for one in found:
        yield (
            f'<tr><td class="figure">{one.times}</td><td>{escape(one.said[:400])}</td>'
            f"<td>{escape(one.first_in)}</td></tr>"
        )
    yield "</table></div>"
