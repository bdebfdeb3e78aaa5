"""Exports spans over OTLP, from a thread of its own: whoever makes them never waits for it, nor for a collector.

What finds no room in the queue, or what the collector does not take in time, is lost, and counted. The thread shares one
interpreter with those whose spans it exports, and a machine with whom they wait for, and it takes longer over a job than
many a job does: where they keep it waiting it stands back, so that it takes a small part of their time at most. Spans are lost then, and not time.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, set_value
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from schedora.adapters.telemetry.cpu_throttle import Machine, Moment, pause_seconds
from schedora.adapters.telemetry.otlp_json import recorded_span
from schedora.adapters.telemetry.recorded import as_recorded
from schedora.application.log import Logger
from schedora.application.ports.lineage_reader import LineageReader
from schedora.application.ports.metrics import Counter, Metrics
from schedora.application.telemetry.job_spans import follows_others, run_spans
from schedora.application.telemetry.lineage import Relative
from schedora.application.telemetry.request_span import ServedRequest, request_span
from schedora.application.telemetry.span import LINKS_MAX, Span
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText

log = Logger("schedora.traces")

QUEUE_MAX = 8_192
"""Runs and spans that wait."""
QUEUE_LENGTH_MAX = 32_000_000
"""Characters of them together, roughly."""
BATCH_MAX = 512
"""Spans in one request, or a few more: those of one run go together."""
DELAY_SECONDS = 1.0
"""How long a span waits for company."""
CLOSE_SECONDS = 3.0
"""How long what is left may take at the end."""
LINEAGE_SECONDS = 0.5
"""How long the store may take to tell what the jobs of a batch depend on: after that they go without links."""
SPANS_OF_RUN = 4
"""Lost with a run that found no room, of which nothing was worked out: wait, claim, process and settle."""

WORTH_A_REQUEST = BATCH_MAX // SPANS_OF_RUN
"""So many runs and spans wait for no others."""

THREAD = "schedora-spans"

Run = tuple[ClaimedJob, Completion]


What = Run | JsonText | ServedRequest
"""What spans are made of."""
_Entry = tuple[What, int]
"""With about how many characters it has."""


class OtlpSpanExport:
    """Port ``SpanExport``. ``start`` it once, and ``close`` it."""

    def __init__(
        self,
        make_exporter: Callable[[], SpanExporter],
        *,
        resource: Mapping[str, str],
        version: str,
        metrics: Metrics,
        lineage: LineageReader | None = None,
    ) -> None:
        """``lineage`` is asked on the event loop that starts it, of the jobs that depend on others. ``make_exporter`` is called in the thread, before there is anything to export: it takes a while."""
        self._make_exporter = make_exporter
        self._exporter: SpanExporter | None = None
        self._resource = Resource(dict(resource))
        self._scope = InstrumentationScope("schedora", version)
        self._metrics = metrics
        self._lineage = lineage
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = threading.Condition()
        self._queue: deque[_Entry] = deque()
        self._length = 0
        self._closing = False
        self._failing = False
        self._under_way: int | None = 0
        """Spans that the collector has not answered for; None once nobody waits for that any more."""
        self._said: deque[str] = deque(maxlen=2)
        """By the exporter of its last failure: what went wrong, and that it was the last time."""
        self._thread = threading.Thread(target=self._main, name=THREAD, daemon=True)

    def __len__(self) -> int:
        """How many runs and spans wait."""
        return len(self._queue)

    def put_runs(self, settled: Sequence[Run]) -> None:
        if len(self._queue) < QUEUE_MAX:  # else nobody need look at them
            self._put([(run, len(run[0].payload) + len(run[1].result or "")) for run in settled])
        else:
            self._lose(SPANS_OF_RUN * len(settled))

    def put_span(self, span: JsonText) -> None:
        self._put([(span, len(span))])

    def put_request(self, served: ServedRequest) -> None:
        self._put([(served, 0)])

    def start(self) -> None:
        if self._lineage is not None:
            self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Exports what is left, as far as that goes within ``CLOSE_SECONDS``."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)
        with self._changed:
            left, self._queue = self._queue, deque()
            under_way, self._under_way = self._under_way, None
        self._lose(sum(_count(what) for what, _ in left) + (under_way or 0))

    def _put(self, entries: Sequence[_Entry]) -> None:
        lost = 0
        with self._changed:
            had = len(self._queue)
            for entry in entries:
                what, length = entry
                full = len(self._queue) >= QUEUE_MAX or self._length + length > QUEUE_LENGTH_MAX
                if full or self._closing:
                    lost += _count(what)
                    continue
                self._queue.append(entry)
                self._length += length
            if not had or len(self._queue) >= WORTH_A_REQUEST > had:
                self._changed.notify()
        self._lose(lost)

    def _main(self) -> None:
        # What the program instruments must not trace how its traces are exported.
        attach(set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        exporter_log = logging.getLogger(OTLPSpanExporter.__module__)
        exporter_log.addFilter(self._heard)
        try:
            self._work()
        finally:
            exporter_log.removeFilter(self._heard)

    def _work(self) -> None:
        try:
            self._exporter = self._make_exporter()
        except Exception:
            self._failing = True
            log.exception("no spans can be exported: all are lost")
        rested, machine = Moment.now(), Machine()
        while entries := self._next():
            began = Moment.now()
            spans = self._worked_out(entries)
            worked = Moment.now()
            self._export(spans)
            ended = Moment.now()
            self._stand_back(
                pause_seconds(
                    rested=rested,
                    began=began,
                    worked=worked,
                    ended=ended,
                    machine_spare=machine.spare(),
                )
            )
            rested = ended
        if self._exporter is not None:
            self._exporter.shutdown()

    def _stand_back(self, pause_seconds: float) -> None:
        deadline = time.monotonic() + pause_seconds
        with self._changed:
            while not self._closing and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _next(self) -> list[What]:
        """What goes together; nothing once all is over."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            deadline = time.monotonic() + DELAY_SECONDS
            while len(self._queue) < WORTH_A_REQUEST and not self._closing:
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    break
            taken: list[What] = []
            count = 0
            while self._queue and count < BATCH_MAX:
                what, length = self._queue.popleft()
                self._length -= length
                count += _count(what)
                taken.append(what)
            if self._under_way is not None:
                self._under_way = count
            return taken

    def _worked_out(self, taken: Sequence[What]) -> list[ReadableSpan]:
        spans: list[ReadableSpan] = []
        upstream = self._upstream([what[0] for what in taken if isinstance(what, tuple)])
        for what in taken:
            try:
                match what:
                    case str(text):
                        spans.append(recorded_span(text, self._resource))
                    case ServedRequest() as served:
                        spans.append(self._recorded(request_span(served)))
                    case job, completion:
                        told = run_spans(job, completion, upstream(job))
                        spans += map(self._recorded, told)
            except Exception:
                log.exception("a span can't be told")
                self._lose(_count(what))
        return spans

    def _upstream(self, jobs: Iterable[ClaimedJob]) -> Callable[[ClaimedJob], Sequence[Relative]]:
        """What each of them depends on, as many as a span links to. One question for all."""
        ids = {job_id for job in jobs if follows_others(job) for job_id in job.depends_on[:LINKS_MAX]}
        if not ids or self._lineage is None or self._loop is None:
            return lambda _: ()
        question = self._lineage.lineage((), upstream_ids=ids)
        try:
            asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        except RuntimeError:  # the loop has ended, and all else
            question.close()
            return lambda _: ()
        try:
            lineage = asked.result(LINEAGE_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever the store says: links are no reason to lose spans
            asked.cancel()
            log.debug("spans go without links", reason=f"{type(error).__name__}: {error}")
            return lambda _: ()
        return lambda job: lineage.relatives(job.depends_on[:LINKS_MAX])

    def _recorded(self, span: Span) -> ReadableSpan:
        return as_recorded(span, self._resource, self._scope)

    def _export(self, spans: Sequence[ReadableSpan]) -> None:
        if not self._awaited(len(spans)) or not spans:
            return
        self._said.clear()
        try:
            done = self._exporter is not None and self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:
            log.exception("spans could not be exported")
            done = False
        if not self._awaited(0):
            return
        if done:
            self._metrics.count(Counter.TRACE_SPANS_EXPORTED, amount=len(spans))
        else:
            self._lose(len(spans))
        if done is self._failing:
            self._failing = not done
            if done:
                log.info("the collector takes spans again")
            else:
                log.warning(
                    "the collector takes no spans: they are lost until it does",
                    lost=len(spans),
                    reason=" ".join(self._said) or None,
                )

    def _heard(self, record: logging.LogRecord) -> bool:
        """The exporter tells of each request that fails, and of each time that it tries again: here it is told once."""
        if record.threadName != THREAD:
            return True
        self._said.append(record.getMessage())
        return False

    def _awaited(self, under_way: int) -> bool:
        """Notes how many are under way now. Whether anybody waits for that still."""
        with self._changed:
            if self._under_way is None:
                return False
            self._under_way = under_way
            return True

    def _lose(self, count: int) -> None:
        if count:
            self._metrics.count(Counter.TRACE_SPANS_LOST, amount=count)


def _count(what: What) -> int:
    """How many spans, roughly, before they are worked out."""
    return SPANS_OF_RUN if isinstance(what, tuple) else 1


def otlp_exporter(*, endpoint: str, headers: Mapping[str, str], timeout_seconds: float) -> SpanExporter:
    """The official one."""
    return OTLPSpanExporter(endpoint=endpoint, headers=headers, timeout=timeout_seconds)
