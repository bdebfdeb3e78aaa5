"""Handlers in processes of their own that trace what they do."""

from typing import Any

from opentelemetry import trace
from opentelemetry.propagate import inject

from schedora import JobContext, Schedora

app = Schedora()
tracer = trace.get_tracer("shop.orders")


@app.job("charges", executor="process")
def charges(ctx: JobContext) -> dict[str, Any]:
    """Makes two spans, one inside the other, and tells what a call elsewhere would carry."""
    carried: dict[str, str] = {}
    inject(carried)
    with tracer.start_as_current_span("charge"), tracer.start_as_current_span("card"):
        pass
    return {"traceparent": ctx.traceparent, **{f"carried_{name}": value for name, value in carried.items()}}
