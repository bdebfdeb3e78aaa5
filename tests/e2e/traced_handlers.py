"""The app of workers whose handlers trace what they do, with a provider of the program's own or without."""

import os
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from schedora import JobContext, Schedora

if "OWN_PROVIDER" in os.environ:
    provider = TracerProvider(resource=Resource.create({"service.name": "the program"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

app = Schedora()
tracer = trace.get_tracer("shop.orders")


@app.job("charge")
async def charge() -> None:
    """Two spans, one inside the other, and a job that goes on with the trace."""
    with tracer.start_as_current_span("pay"):
        with tracer.start_as_current_span("card"):
            pass
        await receipt.submit()


@app.job("receipt", executor="process")
def receipt() -> None:
    """A span in a process of its own."""
    with tracer.start_as_current_span("print"):
        pass


@app.job("in_thread")
def in_thread(ctx: JobContext) -> dict[str, Any]:
    """A span in a thread."""
    with tracer.start_as_current_span("think"):
        return {"traceparent": ctx.traceparent}


@app.job("fails_once")
async def fails_once(ctx: JobContext) -> None:
    """Fails at its first attempt, inside of a span."""
    with tracer.start_as_current_span("try"):
        if ctx.attempt == 1:
            raise ValueError("not yet")
