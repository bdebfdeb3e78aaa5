"""A trace as a waterfall: a tree of spans, each with its bar on one axis of time.

Pure: from spans and a width to rows of marked text. Time in which nothing but waiting happens is drawn narrower where it
would leave no room for what did happen; bars of waits are dashed, so that nobody takes them by their length.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate, pairwise
from operator import itemgetter
from typing import Any, Final

import attrs
from attrs import field, frozen
from rich.cells import cell_len, set_cell_size

from schedora.application.telemetry.span import SpanKind, SpanStatus
from schedora.diagnosis.wording import counted, plural
from schedora.entrypoints.cli.printing import STYLES, one_line, span
from schedora.entrypoints.sdk.trace_view import SpanEventView, SpanView

BARS_MIN: Final = 12
"""Columns below which there are no bars."""
LABEL_MIN: Final = 24
TEXT_MIN: Final = 12
"""Columns of the label that the lines of the tree leave to what stands beside them."""
DURATION: Final = 8
GAP: Final = 2
EVENTS_MAX: Final = 5
"""Told of one span."""
NAMES_MAX: Final = 3
IDLE_SHARE: Final = 0.35
"""Of the axis, where waits are drawn narrower."""
IDLE_LIMIT: Final = 4
"""Waits are drawn narrower where they take so many times as long as all else."""

DIM, BAD, PLAIN = "bright_black", "bold red", ""


@frozen(kw_only=True)
class Glyphs:
    branch: str = "├─ "
    last: str = "└─ "
    down: str = "│  "
    run: str = "━"
    wait: str = "╌"
    open: str = "▶"
    moment: str = "◆"
    bad: str = "✗"
    event: str = "·"
    on: str = "→"
    cut: str = "…"

    @property
    def all(self) -> str:
        return "".join(attrs.astuple(self))


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs(
    branch="|- ",
    last="`- ",
    down="|  ",
    run="=",
    wait="-",
    open=">",
    moment="*",
    bad="x",
    event=".",
    on="->",
    cut="...",
)


@frozen(kw_only=True)
class Line:
    """One row: what it says behind the lines of the tree, and the span whose bar it has."""

    text: str
    style: str = PLAIN
    tree: str = ""
    """The lines of the tree before it."""
    span: SpanView | None = None
    length: str = ""


@frozen(kw_only=True)
class _Node:
    """Something with a line, and what stands below it."""

    text: str
    style: str = PLAIN
    span: SpanView | None = None
    length: str = ""
    notes: tuple[tuple[str, str], ...] = ()
    """Text and style of lines of its own."""
    below: "list[_Node]" = field(factory=list)


@frozen
class Axis:
    """Where each instant stands, from 0 to 1; ``whole`` where that is in proportion everywhere."""

    instants: tuple[int, ...]
    places: tuple[float, ...]
    whole: bool

    def place(self, ns: int) -> float:
        if len(self.instants) < 2:
            return 0.0
        after = min(max(bisect_right(self.instants, ns), 1), len(self.instants) - 1)
        start, end = self.instants[after - 1 : after + 1]
        low, high = self.places[after - 1 : after + 1]
        return min(1.0, max(0.0, low + (high - low) * (ns - start) / (end - start)))


def axis(spans: Sequence[SpanView]) -> Axis:
    """In proportion, unless waiting would take all the room."""
    runs = [one for one in spans if not _is_wait(one) and not _is_workflow(one)]
    if all(one.parent_span_id is None or one.kind is SpanKind.SERVER for one in runs):
        runs = []  # it was submitted, and waits
    instants = sorted({ns for one in spans for ns in (one.start_ns, one.end_ns)})
    parts = list(pairwise(instants))
    busy = _busy(runs, instants)
    lengths = [end - start for start, end in parts]
    busy_ns = sum(length for length, is_busy in zip(lengths, busy, strict=True) if is_busy)
    idle_ns = sum(lengths) - busy_ns
    whole = not busy_ns or idle_ns <= IDLE_LIMIT * busy_ns
    if not whole:
        # Among each other waits are told by their order of magnitude.
        idle = [
            0.0 if is_busy else math.log1p(length / 1e6)
            for length, is_busy in zip(lengths, busy, strict=True)
        ]
        weights = sum(idle) or 1
        widths = [
            (1 - IDLE_SHARE) * length / busy_ns if is_busy else IDLE_SHARE * weight / weights
            for length, is_busy, weight in zip(lengths, busy, idle, strict=True)
        ]
    else:
        all_ns = sum(lengths) or 1
        widths = [length / all_ns for length in lengths]
    places = [0.0]
    for width in widths:
        places.append(places[-1] + width)
    return Axis(tuple(instants), tuple(places), whole)


def _busy(runs: Sequence[SpanView], instants: Sequence[int]) -> list[bool]:
    """Whether something runs from each instant to the next. In one walk: there may be tens of thousands."""
    begin, end = Counter(run.start_ns for run in runs), Counter(max(run.start_ns, run.end_ns) for run in runs)
    at_work = accumulate(begin[instant] - end[instant] for instant in instants[:-1])
    return [count > 0 for count in at_work]


def lines(spans: Sequence[SpanView], glyphs: Glyphs = UNICODE) -> list[Line]:
    """The rows of the tree, in the order of time below each span."""
    return [line for root in _tree(spans, glyphs) for line in _drawn(root, glyphs)]


def bar(of: SpanView, along: Axis, width: int, glyphs: Glyphs = UNICODE) -> str:
    """One character at least, so that nothing is too short to be seen."""
    start = min(int(along.place(of.start_ns) * width), width - 1)
    end = max(start + 1, min(width, round(along.place(of.end_ns) * width)))
    drawn = (glyphs.wait if _is_wait(of) else glyphs.run) * (end - start)
    if of.start_ns == of.end_ns and not of.open:
        drawn = glyphs.moment
    elif of.open:
        drawn = drawn[:-1] + glyphs.open
    return " " * start + drawn


def widths(told: Iterable[Line], width: int) -> tuple[int, int]:
    """Columns for the tree and for the bars; none for these where there is no room."""
    label = max(
        (cell_len(line.tree + line.text) for line in told if line.span is not None or line.length), default=0
    )
    room = width - DURATION - GAP
    bars = room - min(label, max(LABEL_MIN, room * 11 // 20)) - GAP
    if bars < BARS_MIN:
        return min(label, max(LABEL_MIN, room)), 0
    return room - bars - GAP, bars


def shortened(text: str, width: int, glyphs: Glyphs = UNICODE) -> str:
    """To so many columns, of which some characters take two."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(glyphs.cut))) + glyphs.cut


def shortened_tree(tree: str, label: int, glyphs: Glyphs = UNICODE) -> str:
    """Loses what is leftmost where it would leave no room beside it."""
    room = max(0, label - TEXT_MIN)
    return tree if len(tree) <= room else glyphs.cut + tree[len(tree) - max(0, room - len(glyphs.cut)) :]


def length(ns: int) -> str:
    """``0.4ms``, and so on as elsewhere."""
    if ns < 10_000_000:
        return "0" if not ns else f"{max(ns / 1e6, 0.1):.1f}ms"
    return span(timedelta(microseconds=ns // 1_000))


def _tree(spans: Sequence[SpanView], glyphs: Glyphs) -> list[_Node]:
    """Its roots. What has no parent here is a root; ends of attempts are told with these."""
    settled = {one.parent_span_id: one for one in spans if _operation(one) == "settle"}
    shown = sorted(
        (one for one in spans if _is_shown(one, settled)),
        key=lambda one: (one.start_ns, _operation(one) == "process", -one.end_ns),
    )
    nodes = {(one.trace_id, one.span_id): _node(one, settled.get(one.span_id), glyphs) for one in shown}
    roots: list[_Node] = []
    for one in shown:
        node = nodes[one.trace_id, one.span_id]
        above = nodes.get((one.trace_id, one.parent_span_id or ""))
        (roots if above is None or _leads_to(node, above) else above.below).append(node)
    flow = next((node for node in roots if node.span is not None and _is_workflow(node.span)), None)
    return roots if flow is None else [_by_job(flow, roots, spans)]


def _by_job(flow: _Node, roots: Sequence[_Node], spans: Sequence[SpanView]) -> _Node:
    """The workflow above whoever submitted its jobs and above each of these, in the order in which they ran."""
    parts: dict[str, list[_Node]] = {}
    submitted = [root for root in roots if root is not flow]
    for root in submitted:
        for node in root.below[:]:
            if node.span is not None and _operation(node.span) in {"wait", "claim", "process"}:
                root.below.remove(node)
                parts.setdefault(_job_id(node.span), []).append(node)
    spans_of: dict[str, list[SpanView]] = {}
    for one in spans:
        if _operation(one) != "submit":
            spans_of.setdefault(_job_id(one), []).append(one)
    jobs = []
    for job_id, below in parts.items():
        own = spans_of[job_id]
        ran_ns = min(
            (one.start_ns for one in own if _operation(one) in {"claim", "process"}),
            default=max(one.end_ns for one in own),
        )
        jobs.append((ran_ns, _job_node(own, below)))
    jobs.sort(key=itemgetter(0))
    return attrs.evolve(flow, below=[*submitted, *(node for _, node in jobs)])


def _leads_to(node: _Node, other: _Node) -> bool:
    """Whether ``other`` stands below ``node``: spans that others left may point to each other in a circle."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one is other:
            return True
        waiting += one.below
    return False


def _job_node(spans: Sequence[SpanView], below: list[_Node]) -> _Node:
    start_ns, end_ns = min(one.start_ns for one in spans), max(one.end_ns for one in spans)
    told = spans[0].attributes
    key, job_type = told.get("schedora.key"), told.get("schedora.job.type", "")
    last = max(spans, key=lambda one: (one.end_ns, one.start_ns, _operation(one) == "settle"))
    outcome = str(last.attributes.get("schedora.outcome", ""))
    return _Node(
        text=one_line(
            f"{key} ({job_type}) {outcome}" if key else f"{job_type} {_job_id(spans[0])} {outcome}"
        ),
        style=STYLES.get(outcome, "bold"),
        length=length(end_ns - start_ns),
        below=below,
    )


def _node(of: SpanView, settled: SpanView | None, glyphs: Glyphs) -> _Node:
    bad = of.status is SpanStatus.ERROR
    text = f"{glyphs.bad} {_text(of)}" if bad else _text(of)
    told = (settled or of).attributes
    if outcome := told.get("schedora.outcome"):
        text = f"{text} {glyphs.on} {outcome}"
        if outcome in {"PENDING", "CANCELED"} and (reason := told.get("schedora.reason")):
            text = f"{text}: {reason}"
    if _operation(of) == "process":
        text = f"{text} on {of.attributes.get('schedora.worker_id', '?')}"
    style = DIM if _is_wait(of) else BAD if bad else PLAIN
    return _Node(
        text=one_line(text), style=style, span=of, length=length(of.end_ns - of.start_ns),
        notes=tuple(_notes(of, settled, glyphs)),
    )  # fmt: skip


def _text(of: SpanView) -> str:
    told = of.attributes
    match _operation(of):
        case "wait":
            names = _listed([_name(link.attributes) for link in of.links], dropped=of.links_dropped)
            return f"wait: {told.get('schedora.wait.reason', '')}{names}"
        case "claim":
            return f"claim by {told.get('schedora.worker_id', '?')}"
        case "process":
            return f"attempt {told.get('schedora.attempt', '?')}"
    return of.name


def _notes(of: SpanView, settled: SpanView | None, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    events = [*of.events, *(settled.events if settled else ())]
    if of.status is SpanStatus.ERROR and not any(event.name == "exception" for event in events):
        yield f"{glyphs.bad} {one_line(of.status_message or 'failed')}", BAD
    for event in events[:EVENTS_MAX]:
        yield _event(of, event, glyphs)
    if len(events) > EVENTS_MAX:
        yield f"{glyphs.event} and {counted(len(events) - EVENTS_MAX, 'event')} more", DIM
    if dropped := of.attributes.get("schedora.spans_dropped"):
        were = plural(dropped, "was", "were")
        yield f"{glyphs.event} {counted(dropped, 'span')} of its handler {were} not kept", DIM
    if of.attributes.get("schedora.history_cut"):
        yield f"{glyphs.event} what came first is no longer kept", DIM


def _event(of: SpanView, event: SpanEventView, glyphs: Glyphs) -> tuple[str, str]:
    told = event.attributes
    match event.name:
        case "exception":
            error = f"{told.get('exception.type', 'error')}: {told.get('exception.message', '')}"
            return f"{glyphs.bad} {one_line(error)}", BAD
        case "schedora.released" | "schedora.upstream_failed":
            jobs = counted(told.get("schedora.dependants", 0), "job")
            if event.name == "schedora.released":
                return f"{glyphs.on} {jobs} waited for it", DIM
            return f"{glyphs.on} canceled what waited for it: {jobs}", DIM
    after = length(max(0, round((event.at - of.start).total_seconds() * 1e9)))
    return f"{glyphs.event} {after} {one_line(event.name)}", DIM


def _drawn(root: _Node, glyphs: Glyphs) -> Iterator[Line]:
    """Without calls of its own kind: jobs that submit each other stand deeper than Python goes."""
    waiting = [(root, "", "")]
    while waiting:
        node, tree, ahead = waiting.pop()
        yield Line(text=node.text, style=node.style, tree=tree, span=node.span, length=node.length)
        for text, style in node.notes:
            yield Line(text=text, style=style, tree=ahead + (glyphs.down if node.below else "   "))
        below = [(one, ahead + glyphs.branch, ahead + glyphs.down) for one in node.below[:-1]]
        below += [(one, ahead + glyphs.last, ahead + "   ") for one in node.below[-1:]]
        waiting += reversed(below)


def _operation(of: SpanView) -> str:
    return str(of.attributes.get("messaging.operation.name", "")) if of.scope == "schedora" else ""


def _is_shown(of: SpanView, settled: Container[str | None]) -> bool:
    """Ends are told with what they end, and claims whose attempt started at once with that."""
    if _operation(of) == "claim":
        return of.open or of.start_ns < of.end_ns or of.span_id in settled
    return _operation(of) != "settle"


def _is_wait(of: SpanView) -> bool:
    return _operation(of) == "wait"


def _is_workflow(of: SpanView) -> bool:
    """As long as all that is below it."""
    return "schedora.workflow.name" in of.attributes


def _job_id(of: SpanView) -> str:
    return str(of.attributes.get("messaging.message.id", "")) if of.scope == "schedora" else ""


def _name(told: Any) -> str:
    return str(told.get("schedora.key") or told.get("schedora.job_id", ""))


def _listed(names: Sequence[str], *, dropped: int) -> str:
    if not names:
        return ""
    more_count = len(names) + dropped - NAMES_MAX
    more = f" and {more_count} more" if more_count > 0 else ""
    return f" ({', '.join(names[:NAMES_MAX])}{more})"
