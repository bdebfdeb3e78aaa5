from typing import Any

import attrs
import pytest

from schedora.application.telemetry.span import SpanKind, SpanStatus
from schedora.entrypoints.cli.trace import drawn
from schedora.entrypoints.cli.waterfall import (
    ASCII,
    DURATION,
    EVENTS_MAX,
    GAP,
    IDLE_SHARE,
    UNICODE,
    axis,
    bar,
    length,
    lines,
    shortened,
    shortened_tree,
    widths,
)
from schedora.entrypoints.sdk.trace_view import SpanEventView, SpanLinkView, SpanView, TraceView
from tests.builders import NOON

SECOND = 1_000_000_000
ROOT = "root"


def a_span(operation: str = "", start: float = 0, end: float = 0, **more: Any) -> SpanView:
    """From one second to another. With an operation it is one of Schedora's own, below the submission."""
    told = dict(more.pop("attributes", {}))
    if operation:
        told = {
            "messaging.operation.name": operation,
            "messaging.message.id": "j1",
            "schedora.job.type": "work",
        } | told
    fields: dict[str, Any] = {
        "trace_id": "t",
        "span_id": ROOT if operation == "submit" else f"{operation}{start}{more.get('name', '')}",
        "parent_span_id": None if operation == "submit" else ROOT,
        "name": f"{operation} mail",
        "kind": SpanKind.INTERNAL,
        "scope": "schedora" if operation else "schedora.handler",
        "start_ns": int(start * SECOND),
        "end_ns": int(end * SECOND),
        "attributes": told,
        "events": (),
        "links": (),
        "status": SpanStatus.UNSET,
        "status_message": "",
    }
    return SpanView(**fields | more)


SUBMIT = a_span("submit")


def shown(*spans: SpanView) -> list[str]:
    return [line.tree + line.text for line in lines(spans, ASCII)]


def an_attempt(start: float, end: float, outcome: str = "SUCCESS", **more: Any) -> list[SpanView]:
    """With its claim and its end."""
    told = {"schedora.attempt": 1, "schedora.worker_id": "w1"}
    process = a_span("process", start, end, attributes=told, **more)
    ended = told | {"schedora.outcome": outcome}
    return [
        a_span("claim", start, start, attributes=told),
        process,
        a_span("settle", end, end, parent_span_id=process.span_id, attributes=ended),
    ]


def test_the_spans_of_a_job_are_a_tree_in_the_order_of_time() -> None:
    claim, process, settle = an_attempt(2, 5)
    query = a_span(start=3, end=4, name="query", parent_span_id=process.span_id)
    parse = a_span(start=3.5, end=4, name="parse", parent_span_id=query.span_id)
    wait = a_span("wait", 0, 2, attributes={"schedora.wait.reason": "queue"})
    assert shown(parse, query, settle, process, claim, wait, SUBMIT) == [
        "submit mail",
        "|- wait: queue",
        "`- attempt 1 -> SUCCESS on w1",
        "   `- query",
        "      `- parse",
    ]


def test_an_error_is_told_below_what_failed() -> None:
    told = {"exception.type": "Oops", "exception.message": "it\nfailed"}
    event = SpanEventView(at=NOON, name="exception", attributes=told)
    failed = an_attempt(0, 1, "RETRYING", status=SpanStatus.ERROR, events=(event,))
    assert shown(SUBMIT, *failed)[1:] == ["`- x attempt 1 -> RETRYING on w1", "      x Oops: it failed"]
    own = a_span(start=0, end=1, name="query", status=SpanStatus.ERROR, status_message="no\rway\x1b[0m")
    assert shown(SUBMIT, own)[1:] == ["`- x query", "      x no way\\x1b[0m"]


def test_a_claim_is_told_where_it_took_time_or_came_to_nothing() -> None:
    told = {"schedora.worker_id": "w1"}
    held = a_span("claim", 0, 1, attributes=told)
    lost = a_span("claim", 2, 2, attributes=told)
    end = {"schedora.outcome": "PENDING", "schedora.reason": "worker_lost"}
    settle = a_span("settle", 2, 2, parent_span_id=lost.span_id, attributes=end)
    assert shown(SUBMIT, held, lost, settle)[1:] == [
        "|- claim by w1",
        "`- claim by w1 -> PENDING: worker_lost",
    ]


def test_what_a_wait_is_for_is_named() -> None:
    links = tuple(
        SpanLinkView(trace_id="t", span_id="s", attributes={"schedora.job_id": f"j{number}"} | key)
        for number, key in enumerate([{"schedora.key": "a"}, {}, {}, {}, {}])
    )
    wait = a_span("wait", 0, 1, links=links, attributes={"schedora.wait.reason": "dependency"})
    assert shown(SUBMIT, wait)[1:] == ["`- wait: dependency (a, j1, j2 and 2 more)"]
    many = attrs.evolve(wait, links_dropped=70)
    assert shown(SUBMIT, many)[1:] == ["`- wait: dependency (a, j1, j2 and 72 more)"]


def test_events_are_told_and_not_too_many() -> None:
    events = tuple(
        SpanEventView(at=NOON, name=f"e{number}", attributes={}) for number in range(EVENTS_MAX + 2)
    )
    start_ns = int(NOON.timestamp()) * SECOND
    one = a_span(name="query", start_ns=start_ns, end_ns=start_ns + 1, events=events)
    told = shown(one)
    assert told[1] == "   . 0 e0"
    assert told[-1] == "   . and 2 events more"
    assert shown(attrs.evolve(one, events=events[:-1]))[-1] == "   . and 1 event more"
    released = SpanEventView(at=NOON, name="schedora.released", attributes={"schedora.dependants": 2})
    failed = SpanEventView(at=NOON, name="schedora.upstream_failed", attributes={"schedora.dependants": 1})
    assert shown(attrs.evolve(one, events=(released, failed)))[1:] == [
        "   -> 2 jobs waited for it",
        "   -> canceled what waited for it: 1 job",
    ]


def test_what_is_no_longer_kept_is_said() -> None:
    submit = attrs.evolve(SUBMIT, attributes={**SUBMIT.attributes, "schedora.history_cut": True})
    claim, process, settle = an_attempt(0, 1)
    process = attrs.evolve(process, attributes={**process.attributes, "schedora.spans_dropped": 7})
    assert shown(submit, claim, process, settle) == [
        "submit mail",
        "|  . what came first is no longer kept",
        "`- attempt 1 -> SUCCESS on w1",
        "      . 7 spans of its handler were not kept",
    ]
    process = attrs.evolve(process, attributes={**process.attributes, "schedora.spans_dropped": 1})
    assert shown(submit, claim, process, settle)[-1] == "      . 1 span of its handler was not kept"


def test_a_workflow_stands_above_its_jobs_in_the_order_in_which_they_ran() -> None:
    flow = a_span(name="workflow order", span_id="f", parent_span_id=None, scope="schedora", start=0, end=9)
    flow = attrs.evolve(flow, trace_id="f", attributes={"schedora.workflow.name": "order"})
    jobs = []
    for start, key in ((6, "late"), (3, "early")):
        about = {"messaging.message.id": key, "schedora.key": key}
        wait = a_span(
            "wait", 0, start, span_id=f"w{key}", attributes=about | {"schedora.wait.reason": "queue"}
        )
        attempt = an_attempt(start, start + 1)
        jobs += [wait, *(attrs.evolve(one, attributes={**one.attributes, **about}) for one in attempt)]
    assert shown(*jobs, SUBMIT, flow) == [
        "workflow order",
        "|- submit mail",
        "|- early (work) SUCCESS",
        "|  |- wait: queue",
        "|  `- attempt 1 -> SUCCESS on w1",
        "`- late (work) SUCCESS",
        "   |- wait: queue",
        "   `- attempt 1 -> SUCCESS on w1",
    ]


def test_what_has_no_parent_here_is_a_root_and_circles_are_broken() -> None:
    orphan = a_span(name="orphan", start=1, end=2, parent_span_id="elsewhere")
    one = a_span(name="one", start=3, end=4, span_id="one", parent_span_id="two")
    two = a_span(name="two", start=3, end=4, span_id="two", parent_span_id="one")
    itself = a_span(name="itself", start=5, end=6, span_id="itself", parent_span_id="itself")
    assert sorted(text.lstrip("`- ") for text in shown(orphan, one, two, itself)) == [
        "itself",
        "one",
        "orphan",
        "two",
    ]


@pytest.mark.parametrize("later", [1, -1], ids=["parents first", "children first"])
def test_what_stands_deeper_than_python_goes_is_shown(later: int) -> None:
    """As jobs do that submit one another."""
    chain = [
        a_span(name="s", start=5_000 + later * n, end=9_000, span_id=str(n), parent_span_id=str(n - 1))
        for n in range(1_200)
    ]
    told = shown(*chain)
    assert (len(told), told[0]) == (1_200, "s")
    assert told[-1].endswith("`- s")


def test_bars_are_in_proportion_where_that_leaves_room() -> None:
    wait, work = a_span("wait", 0, 5), a_span("process", 5, 10)
    along = axis([SUBMIT, wait, work])
    assert along.whole
    assert bar(wait, along, 10, ASCII) == "-----"
    assert bar(work, along, 10, ASCII) == "     ====="
    assert bar(a_span("process", 2.5, 5), along, 4, ASCII) == " ="


def test_long_waits_leave_room_for_what_ran() -> None:
    hour = a_span("wait", 0, 3_600)
    first, second = a_span("process", 3_600, 3_600.002), a_span("process", 3_660.002, 3_660.004)
    minute = a_span("wait", 3_600.002, 3_660.002)
    along = axis([SUBMIT, hour, first, minute, second])
    assert not along.whole
    drawn = [bar(one, along, 100, ASCII) for one in (hour, first, minute, second)]
    ran = [text.count("=") for text in drawn]
    assert ran[1] == pytest.approx(ran[3], abs=1)
    assert sum(ran) == pytest.approx(100 * (1 - IDLE_SHARE), abs=2)
    waited = [text.count("-") for text in drawn]
    assert waited[0] > waited[2] > 5
    assert sum(waited) == pytest.approx(100 * IDLE_SHARE, abs=2)


def test_a_job_that_only_waits_is_in_proportion() -> None:
    request = a_span("submit", 0, 0.002, kind=SpanKind.SERVER)
    wait = a_span("wait", 0.001, 100, attributes={"schedora.span.open": True})
    along = axis([request, wait])
    assert along.whole
    assert bar(wait, along, 10, ASCII) == "--------->"


def test_nothing_is_too_short_to_be_seen() -> None:
    along = axis([a_span("wait", 0, 100)])
    assert bar(a_span("process", 50, 50.001), along, 10, ASCII) == "     ="
    assert bar(a_span("process", 100, 100), along, 10, ASCII) == "         *"
    assert bar(SUBMIT, axis([SUBMIT]), 10, ASCII) == "*"


@pytest.mark.parametrize("width", [10, 40, 56, 80, 140])
def test_it_fits(width: int) -> None:
    told = lines([SUBMIT, a_span("wait", 0, 3), *an_attempt(3, 4, outcome="RETRYING")], ASCII)
    label, bars = widths(told, width)
    assert bars == 0 or label + DURATION + 2 * GAP + bars <= width + GAP
    assert (bars == 0) == (width < 56)


def test_text_is_shortened_to_what_fits() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcdef", 4, ASCII) == "a..."
    assert shortened("名前名", 6) == "名前名"
    assert shortened("名前名", 5) == "名前…"
    assert shortened("名前名", 4) == "名 …"
    assert shortened_tree("|  `- ", 30, ASCII) == "|  `- "
    assert shortened_tree("   " * 9 + "`- ", 24, ASCII) == "...      `- "


@pytest.mark.parametrize(
    ("ns", "told"),
    [
        (0, "0"),
        (1_000, "0.1ms"),
        (420_000, "0.4ms"),
        (9_900_000, "9.9ms"),
        (12_000_000, "12ms"),
        (3_600 * SECOND, "1h00m"),
    ],
)
def test_lengths(ns: int, told: str) -> None:
    assert length(ns) == told


class Instant(int):
    """Counts how often any two are compared."""

    compared = 0

    def __le__(self, other: int) -> bool:
        Instant.compared += 1
        return int(self) <= other

    def __lt__(self, other: int) -> bool:
        Instant.compared += 1
        return int(self) < other

    __hash__ = int.__hash__


def test_an_axis_of_many_spans_does_not_hold_each_against_each() -> None:
    count = 500
    spans = [
        attrs.evolve(a_span(name=str(n)), start_ns=Instant(2 * n), end_ns=Instant(2 * n + 1))
        for n in range(count)
    ]
    Instant.compared = 0
    axis(spans)
    assert Instant.compared < 20 * count


@pytest.mark.parametrize("width", [56, 80, 120])
def test_bars_stand_below_each_other_whatever_is_called_how_and_however_deep_it_is(width: int) -> None:
    spans = [
        a_span(
            name="名前が長い日本語のスパン" if n % 2 else "step",
            start=0,
            end=10,
            span_id=f"{n}",
            parent_span_id=f"{n - 1}",
        )
        for n in range(60)
    ]
    traced = TraceView(trace_id="t", spans=tuple(spans), document={}, next_cursor=None)
    (_, *rows), _ = drawn(traced, width, UNICODE)
    assert len({row.cell_len for row in rows}) == 1
    assert rows[0].cell_len <= width
    assert {row.plain.count("━") for row in rows} == {rows[0].plain.count("━")}
