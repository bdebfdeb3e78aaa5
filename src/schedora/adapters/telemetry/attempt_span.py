"""An attempt as OpenTelemetry's current span, and what becomes of its children.

The span of an attempt is derived from the job's record; here it is nothing but its identity, worked out when somebody
asks for it. Its children are made by whatever provider the program has, or else by one of Schedora's.
"""

from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from threading import Lock
from weakref import WeakKeyDictionary, WeakValueDictionary

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as RecordedSpan
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.span import TraceState
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import Attributes, AttributeValue

from schedora.adapters.telemetry.otlp_json import span_json
from schedora.application.log import Logger
from schedora.application.run_scope import RunScope
from schedora.application.telemetry.span import process_span_id
from schedora.domain.ids import JsonText
from schedora.domain.trace import TraceContext

log = Logger("schedora.traces")

OnStray = Callable[[JsonText], None]

(_CURRENT,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""The key of the current span in a context."""

SCOPE, INNER = "schedora", "handler"

_BEGINNING = Lock()
"""Two threads of one handler may both say the first thing of its attempt."""


class AttemptSpan(trace.Span):
    """What is said of it is said by a span inside of it, which is there once something is said."""

    def __init__(self, scope: RunScope) -> None:
        self.scope = scope
        self.token: Token[Context] | None = None
        """Of the context in which it is current."""
        self._context: SpanContext | None = None
        self._inner: trace.Span | None = None

    def get_span_context(self) -> SpanContext:
        if self._context is None:
            job = self.scope.job
            continued = TraceContext.stored(job.traceparent)
            self._context = SpanContext(
                trace_id=int(continued.trace_id, 16),
                span_id=int(process_span_id(job.job_id, job.claimed_at), 16),
                is_remote=False,
                trace_flags=TraceFlags(continued.sampled),
            )
        return self._context

    def is_recording(self) -> bool:
        return trace.get_tracer_provider() in _collectors

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        self._told().set_attributes(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        self._told().set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self._told().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        self._told().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._told().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._told().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._told().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """Nobody's to call: an attempt ends with its handler."""

    def finish(self) -> None:
        """The handler has ended."""
        if self._inner is not None:
            self._inner.end()

    def _told(self) -> trace.Span:
        with _BEGINNING:
            if self._inner is None:
                around = trace.set_span_in_context(self, Context())
                self._inner = trace.get_tracer(SCOPE).start_span(INNER, context=around)
        return self._inner


class _Collector(SpanProcessor):
    """Leaves each span with the run that it belongs to: the one that its parent belongs to. Thread-safe."""

    def __init__(self) -> None:
        self._open: WeakValueDictionary[int, RunScope] = WeakValueDictionary()
        """The runs of spans that have not ended. What outlives its run belongs to none."""
        self.on_stray: OnStray | None = None

    def on_start(self, span: RecordedSpan, parent_context: Context | None = None) -> None:
        scope = self.scope_of(trace.get_current_span(parent_context))
        if scope is not None:
            self._open[span.get_span_context().span_id] = scope

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None:
            return
        scope = self._open.pop(context.span_id, None)
        if scope is None and (self.on_stray is None or not context.trace_flags.sampled):
            return
        try:
            text = span_json(span)
        except Exception as error:  # noqa: BLE001 - whatever a span is called, no handler fails by it
            log.warning("a span can't be told", reason=f"{type(error).__name__}: {error}")
            return
        if scope is not None:
            scope.leave_span(text)
        elif self.on_stray is not None:
            self.on_stray(text)

    def scope_of(self, span: trace.Span) -> RunScope | None:
        if isinstance(span, AttemptSpan):
            return span.scope
        return self._open.get(span.get_span_context().span_id)


class _AsTheRun(Sampler):
    """Records all in a run: where its trace is not sampled, its attempt may fail yet. What belongs to no run is sampled
    as the environment says.
    """

    def __init__(self, collector: _Collector) -> None:
        self._collector = collector
        self._elsewhere = TracerProvider(shutdown_on_exit=False).sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context)
        if self._collector.scope_of(parent) is None:
            return self._elsewhere.should_sample(
                parent_context, trace_id, name, kind, attributes, links, trace_state
            )
        sampled = parent.get_span_context().trace_flags.sampled
        return SamplingResult(Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY, attributes)

    def get_description(self) -> str:
        return "SchedoraRuns"


class _OwnProvider(TracerProvider):
    """Where the program has none."""

    def __init__(self, collector: _Collector) -> None:
        super().__init__(sampler=_AsTheRun(collector), shutdown_on_exit=False)


_collectors: WeakKeyDictionary[trace.TracerProvider, _Collector] = WeakKeyDictionary()
"""A provider keeps its processors for good: one collector each, however many workers there are in its process."""


class AttemptSpans:
    """Makes attempts current, and collects their children from the provider of this process."""

    def __init__(self, on_stray: OnStray | None, *, in_process_of_its_own: bool) -> None:
        provider = _provider(in_process_of_its_own=in_process_of_its_own)
        self.of_the_program = not isinstance(provider, _OwnProvider)
        if on_stray is not None and not self.of_the_program:
            _collectors[provider].on_stray = on_stray

    def enter(self, scope: RunScope) -> object:
        around = get_current()
        span = AttemptSpan(scope)
        current = {_CURRENT: span}
        span.token = attach(Context({**around, **current} if around else current))
        return span

    def leave(self, entered: object) -> None:
        if isinstance(entered, AttemptSpan) and entered.token is not None:
            detach(entered.token)
            entered.finish()


def _provider(*, in_process_of_its_own: bool) -> trace.TracerProvider:
    """The one of this process, with a collector where it takes one."""
    provider = trace.get_tracer_provider()
    if provider in _collectors:
        return provider
    collector = _Collector()
    if isinstance(provider, TracerProvider):
        provider.add_span_processor(collector)
    elif not in_process_of_its_own:
        return provider  # it may be set yet, and whose it is knows what it takes
    elif isinstance(provider, trace.ProxyTracerProvider):
        provider = _OwnProvider(collector)
        provider.add_span_processor(collector)
        trace.set_tracer_provider(provider)
    else:
        kind = f"{type(provider).__module__}.{type(provider).__qualname__}"
        log.warning("handlers' own spans are not kept: their provider takes no processor", provider=kind)
        return provider
    _collectors[provider] = collector
    return provider
