"""Spans on their way to a collector: what comes, what is lost, and that nobody waits for it."""

import asyncio
import threading
from collections.abc import Callable, Collection, Iterator, MutableMapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from attrs import evolve
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from schedora.adapters.telemetry import span_export
from schedora.adapters.telemetry.local_counters import LocalCounters
from schedora.adapters.telemetry.span_export import OtlpSpanExport, otlp_exporter
from schedora.application.encoding import encode_json
from schedora.application.errors import StoreUnavailable
from schedora.application.telemetry.job_spans import run_spans
from schedora.application.telemetry.lineage import Lineage, Relative
from schedora.application.telemetry.otlp import span_document
from schedora.application.telemetry.request_span import ServedRequest, request_span
from schedora.application.telemetry.span import Span, SpanKind, process_span_id
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion, settle
from schedora.domain.ids import JobId, JsonText, LeaseToken
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Succeeded
from schedora.domain.trace import TraceContext
from tests.builders import NOON, SECOND, a_claimed_job, a_job_id
from tests.collector import Collector, a_collector
from tests.programs import PATIENCE_SECONDS, until

EXPORTED, LOST = "trace_spans_exported_total", "trace_spans_lost_total"
Run = tuple[ClaimedJob, Completion]


def a_run(outcome: Outcome | None = None) -> Run:
    job = a_claimed_job()
    started_at = job.claimed_at + timedelta(milliseconds=2)
    completion = settle(
        job,
        outcome or Succeeded(),
        started_at=started_at,
        ended_at=started_at + SECOND,
        unit_random=0.0,
        worker_deaths_max=3,
    )
    return job, completion


def a_span(name: str = "charge") -> JsonText:
    span = Span(
        trace_id=f"{1:032x}", span_id=f"{2:016x}", parent_span_id=f"{3:016x}", name=name,
        kind=SpanKind.INTERNAL, start_ns=1, end_ns=2, attributes={"a": 1},
    )  # fmt: skip
    return encode_json(span_document(span, now_ns=0))


@pytest.fixture
def local_counters() -> LocalCounters:
    return LocalCounters()


@pytest.fixture
def counted(local_counters: LocalCounters) -> Callable[[str], int]:
    """How many were counted so far under a name."""
    so_far: dict[str, float] = {}

    def count(name: str) -> int:
        for series, amount in local_counters.drain().items():
            so_far[series.name] = so_far.get(series.name, 0) + amount
        return int(so_far.get(name, 0))

    return count


@pytest.fixture
def collector() -> Iterator[Collector]:
    with a_collector() as collector:
        yield collector


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for company."""
    monkeypatch.setattr(span_export, "DELAY_SECONDS", 0.0)


Lines = Sequence[MutableMapping[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Of the log."""
    with capture_logs() as lines:
        yield lines


Begin = Callable[..., OtlpSpanExport]


@pytest.fixture
def begin(local_counters: LocalCounters) -> Iterator[Begin]:
    """Starts an export to a URL; at the end it is closed."""
    begun: list[OtlpSpanExport] = []

    def start(url: str, *, timeout_seconds: float = PATIENCE_SECONDS) -> OtlpSpanExport:
        make = partial(
            otlp_exporter,
            endpoint=f"{url}/v1/traces",
            headers={"x-key": "k"},
            timeout_seconds=timeout_seconds,
        )
        export = OtlpSpanExport(
            make, resource={"service.name": "shop"}, version="1.2.3", metrics=local_counters
        )
        export.start()
        begun.append(export)
        return export

    yield start
    for export in begun:
        export.close()


def test_runs_arrive_as_the_spans_that_are_derived_of_them(
    collector: Collector, begin: Begin, counted: Callable[[str], int]
) -> None:
    good, bad = a_run(), a_run(Failed(kind="Broken", message="no", traceback="Traceback"))
    export = begin(collector.url)
    export.put_runs([good, bad])
    export.close()
    told: list[Span] = run_spans(*good) + run_spans(*bad)
    assert len(collector.requests) == 1
    assert [span.span_id for span in collector.spans] == [span.span_id for span in told]
    for came, span in zip(collector.spans, told, strict=True):
        assert (came.trace_id, came.parent_span_id, came.name) == (
            span.trace_id,
            span.parent_span_id,
            span.name,
        )
        assert (came.start_ns, came.end_ns, came.kind) == (span.start_ns, span.end_ns, int(span.kind))
        assert (came.attributes, came.status) == (dict(span.attributes), int(span.status))
        assert came.events == tuple(event.name for event in span.events)
        assert (came.scope, came.resource) == ("schedora", {"service.name": "shop"})
    assert collector.requests[0]["x-key"] == "k"
    assert (counted(EXPORTED), counted(LOST)) == (len(told), 0)


class Told:
    """Port ``LineageReader``: knows no dependants, and what it is given of the others."""

    def __init__(self, *upstream: Relative, silent: bool = False, broken: bool = False) -> None:
        self.upstream = upstream
        self.silent = silent
        self.broken = broken
        self.asked: list[Collection[JobId]] = []
        self.given_up = asyncio.Event()

    async def lineage(self, job_ids: Collection[JobId], *, upstream_ids: Collection[JobId]) -> Lineage:
        assert not job_ids
        self.asked.append(upstream_ids)
        if self.broken:
            raise StoreUnavailable("away")
        try:
            if self.silent:
                await asyncio.Event().wait()
        finally:
            self.given_up.set()
        return Lineage(at=NOON, upstream={one.job_id: one for one in self.upstream})


def a_relative() -> Relative:
    return Relative(
        job_id=a_job_id(), key="first", trace=TraceContext(trace_id=f"{7:032x}", span_id=f"{8:016x}"),
        status=JobState.SUCCESS, claimed_at=NOON, completed_at=NOON + SECOND,
    )  # fmt: skip


async def exported(lineage: Told, runs: Sequence[Run], local_counters: LocalCounters) -> list[ReadableSpan]:
    """The attempts among the spans that leave."""
    exporter = InMemorySpanExporter()
    export = OtlpSpanExport(
        lambda: exporter, resource={}, version="1.2.3", metrics=local_counters, lineage=lineage
    )
    export.start()
    export.put_runs(runs)
    await asyncio.to_thread(export.close)
    return [span for span in exporter.get_finished_spans() if span.name.startswith("process")]


async def test_the_first_attempt_links_to_those_of_what_it_depends_on(local_counters: LocalCounters) -> None:
    first = a_relative()
    job, completion = a_run()
    runs = [
        (evolve(job, depends_on=(first.job_id,), lease_token=LeaseToken(token)), completion)
        for token in (1, 2)
    ]
    lineage = Told(first)
    after, again, lone = await exported(lineage, [*runs, a_run()], local_counters)
    assert lineage.asked == [{first.job_id}]  # once for all
    (link,) = after.links
    assert link.context.trace_id == 7
    assert link.context.span_id == int(process_span_id(first.job_id, NOON), 16)
    assert dict(link.attributes or {}) == {"schedora.job_id": str(first.job_id), "schedora.key": "first"}
    assert (again.links, lone.links) == ((), ())


async def test_no_store_is_asked_where_nothing_depends_on_anything(local_counters: LocalCounters) -> None:
    lineage = Told()
    assert await exported(lineage, [a_run()], local_counters)
    assert lineage.asked == []


@pytest.mark.parametrize("store", [{"silent": True}, {"broken": True}], ids=["silent", "broken"])
async def test_without_the_store_spans_go_without_links(
    local_counters: LocalCounters, monkeypatch: pytest.MonkeyPatch, store: dict[str, bool]
) -> None:
    monkeypatch.setattr(span_export, "LINEAGE_SECONDS", 0.01)
    job, completion = a_run()
    lineage = Told(**store)
    (attempt,) = await exported(
        lineage, [(evolve(job, depends_on=(a_job_id(),)), completion)], local_counters
    )
    assert attempt.links == ()
    assert len(lineage.asked) == 1
    if lineage.silent:
        await asyncio.wait_for(lineage.given_up.wait(), PATIENCE_SECONDS)


def test_spans_of_handlers_arrive_with_their_scope(collector: Collector, begin: Begin) -> None:
    export = begin(collector.url)
    text = (
        a_span()
        .replace('"key":"a"', '"key":"otel.scope.name"')
        .replace('"intValue":"1"', '"stringValue":"x"')
    )
    export.put_span(JsonText(text))
    export.put_span(a_span("plain"))
    export.close()
    scoped, plain = collector.named("charge") + collector.named("plain")
    assert (scoped.scope, scoped.attributes) == ("x", {})
    assert (plain.scope, plain.attributes) == ("", {"a": 1})
    assert (plain.span_id, plain.parent_span_id) == (f"{2:016x}", f"{3:016x}")


def test_requests_arrive_as_their_spans(collector: Collector, begin: Begin) -> None:
    trace = TraceContext(trace_id=f"{1:032x}", span_id=f"{2:016x}")
    served = ServedRequest(trace, f"{3:016x}", "POST", "/api/v1/jobs", 201, 10, 20, 1, 15)
    export = begin(collector.url)
    export.put_request(served)
    export.close()
    [came] = collector.spans
    assert (came.name, came.span_id, came.parent_span_id) == ("POST /api/v1/jobs", trace.span_id, f"{3:016x}")
    assert (came.attributes, came.scope) == (dict(request_span(served).attributes), "schedora")


@pytest.mark.usefixtures("soon")
def test_what_is_little_goes_by_itself(collector: Collector, begin: Begin) -> None:
    export = begin(collector.url)
    export.put_span(a_span("first"))
    collector.wait_for(lambda c: c.named("first"))
    export.put_span(a_span("second"))
    collector.wait_for(lambda c: c.named("second"))


def test_much_goes_in_parts(collector: Collector, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "BATCH_MAX", 10)
    export = begin(collector.url)
    export.put_runs([a_run() for _ in range(10)])
    export.close()
    assert len(collector.requests) == 4
    assert len({span.span_id for span in collector.spans}) == len(collector.spans) >= 30


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("status", [400, 500, 429, 503])
def test_what_a_collector_refuses_is_lost_and_it_is_tried_again(
    collector: Collector, begin: Begin, counted: Callable[[str], int], status: int
) -> None:
    collector.status = status
    export = begin(collector.url, timeout_seconds=0.5)
    export.put_span(a_span())
    until(lambda: counted(LOST) == 1, "the span to be counted as lost")
    collector.status = 200
    export.put_span(a_span("later"))
    collector.wait_for(lambda c: c.named("later"))
    until(lambda: counted(EXPORTED) == 1, "the other one to be counted as exported")
    assert counted(LOST) == 1


@pytest.mark.usefixtures("soon")
def test_why_a_collector_takes_nothing_is_told_once(
    collector: Collector, begin: Begin, counted: Callable[[str], int], lines: Lines
) -> None:
    collector.status = 401
    export = begin(collector.url)
    for lost in (1, 2):
        export.put_span(a_span())
        until(lambda lost=lost: counted(LOST) == lost, "the span to be counted as lost")  # type: ignore[misc]
    export.close()
    (told,) = lines
    assert "code: 401, reason: Unauthorized" in told["reason"]


@pytest.mark.usefixtures("soon")
def test_a_collector_that_is_not_there_is_told_as_such(
    collector: Collector, begin: Begin, counted: Callable[[str], int], lines: Lines
) -> None:
    url = collector.url
    collector.stop()
    export = begin(url, timeout_seconds=2)
    export.put_span(a_span())
    until(lambda: counted(LOST) == 1, "the span to be counted as lost")
    export.close()
    (told,) = lines
    assert "Connection refused" in told["reason"]


@pytest.mark.usefixtures("soon")
def test_a_collector_that_hangs_up_or_is_not_there_loses_spans(
    collector: Collector, begin: Begin, counted: Callable[[str], int]
) -> None:
    collector.hangs_up = True
    export = begin(collector.url, timeout_seconds=0.5)
    export.put_span(a_span())
    until(lambda: counted(LOST) == 1, "the span to be counted as lost")
    collector.stop()
    export.put_span(a_span())
    until(lambda: counted(LOST) == 2, "the other one to be counted as lost, too")


@pytest.mark.usefixtures("soon")
def test_a_collector_that_hangs_delays_nobody_and_what_finds_no_room_is_lost(
    collector: Collector, begin: Begin, counted: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "QUEUE_MAX", 3)
    collector.let_go.clear()
    export = begin(collector.url)
    export.put_span(a_span())
    collector.wait_for(lambda c: c.requests)
    assert len(export) == 0
    export.put_runs([a_run() for _ in range(4)])
    export.put_span(a_span())
    assert len(export) == 3
    assert counted(LOST) == span_export.SPANS_OF_RUN + 1
    collector.let_go.set()
    export.close()
    assert counted(LOST) == span_export.SPANS_OF_RUN + 1
    assert counted(EXPORTED) == len(collector.spans) == 1 + sum(len(run_spans(*a_run())) for _ in range(3))


def test_big_jobs_fill_the_queue_by_their_length(
    begin: Begin, counted: Callable[[str], int], collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "QUEUE_LENGTH_MAX", 1_000)
    job, completion = a_run()
    big = evolve(job, payload=JsonText(f'{{"a":"{"x" * 600}"}}'))
    export = begin(collector.url)
    export.put_runs([(big, completion), (big, completion)])
    assert len(export) == 1
    assert counted(LOST) == span_export.SPANS_OF_RUN
    export.close()
    export.put_span(a_span())
    assert counted(LOST) == span_export.SPANS_OF_RUN + 1  # nothing comes in any more


def test_the_end_waits_for_a_collector_for_a_moment_only(
    collector: Collector, begin: Begin, counted: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(span_export, "DELAY_SECONDS", 0.0)
    collector.let_go.clear()
    export = begin(collector.url)
    export.put_span(a_span())
    collector.wait_for(lambda c: c.requests)
    export.put_span(a_span())
    closed = threading.Event()

    def close() -> None:
        export.close()
        closed.set()

    threading.Thread(target=close, daemon=True).start()
    assert closed.wait(PATIENCE_SECONDS)
    assert counted(LOST) == 2  # what is under way has no time left either


@pytest.mark.usefixtures("soon")
def test_what_is_worked_out_when_there_is_no_time_left_is_lost_too(
    local_counters: LocalCounters, counted: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "CLOSE_SECONDS", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> list[Span]:
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return []

    monkeypatch.setattr(span_export, "run_spans", slow)
    export = OtlpSpanExport(InMemorySpanExporter, resource={}, version="1.2.3", metrics=local_counters)
    export.start()
    export.put_runs([a_run()])
    assert begun.wait(PATIENCE_SECONDS)
    export.close()
    assert counted(LOST) == span_export.SPANS_OF_RUN
    go_on.set()


def test_what_cannot_be_told_does_not_keep_the_rest(
    collector: Collector, begin: Begin, counted: Callable[[str], int]
) -> None:
    export = begin(collector.url)
    export.put_span(JsonText("{}"))
    export.put_span(a_span())
    export.close()
    assert [span.name for span in collector.spans] == ["charge"]
    assert (counted(EXPORTED), counted(LOST)) == (1, 1)


class _Broken(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("broken")


def test_an_exporter_that_breaks_loses_spans_and_no_more(
    local_counters: LocalCounters, counted: Callable[[str], int]
) -> None:
    export = OtlpSpanExport(_Broken, resource={}, version="1.2.3", metrics=local_counters)
    export.start()
    export.put_span(a_span())
    export.close()
    assert counted(LOST) == 1


def test_the_exporter_is_there_before_there_is_anything_to_export(local_counters: LocalCounters) -> None:
    made = threading.Event()

    def make() -> SpanExporter:
        made.set()
        return InMemorySpanExporter()

    export = OtlpSpanExport(make, resource={}, version="1.2.3", metrics=local_counters)
    assert not made.is_set()
    export.start()
    assert made.wait(PATIENCE_SECONDS)
    export.close()


@pytest.mark.usefixtures("soon")
def test_an_exporter_that_cannot_be_made_is_told_once_and_all_is_lost(
    local_counters: LocalCounters, counted: Callable[[str], int], lines: Lines
) -> None:
    def make() -> SpanExporter:
        raise ValueError("no such compression")

    export = OtlpSpanExport(make, resource={}, version="1.2.3", metrics=local_counters)
    export.start()
    for lost in (1, 2):
        export.put_span(a_span())
        until(lambda lost=lost: counted(LOST) == lost, "the span to be counted as lost")  # type: ignore[misc]
    export.close()
    (told,) = lines
    assert told["event"].startswith("no spans can be exported")


def test_one_that_was_never_started_can_be_closed(
    local_counters: LocalCounters, counted: Callable[[str], int]
) -> None:
    export = OtlpSpanExport(_Broken, resource={}, version="1.2.3", metrics=local_counters)
    export.put_runs([a_run()])
    export.close()
    assert counted(LOST) == span_export.SPANS_OF_RUN


@pytest.mark.usefixtures("soon")
def test_at_the_end_it_stands_back_no_more(
    local_counters: LocalCounters, counted: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_export, "pause_seconds", lambda **_: PATIENCE_SECONDS * 10)
    exporter = InMemorySpanExporter()
    export = OtlpSpanExport(lambda: exporter, resource={}, version="1.2.3", metrics=local_counters)
    export.start()
    export.put_span(a_span())
    until(lambda: len(exporter.get_finished_spans()) == 1, "the first span")
    export.put_span(a_span())
    assert counted(EXPORTED) <= 1
    export.close()
    assert counted(EXPORTED) == 2
