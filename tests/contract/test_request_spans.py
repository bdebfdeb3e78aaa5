"""Requests that submitted jobs, kept so that their spans can be looked at."""

from datetime import timedelta
from itertools import count

from schedora.application.ports.request_spans import Asked
from schedora.application.telemetry.request_span import ServedRequest
from schedora.domain.trace import TraceContext
from tests.contract.stores import Stores

LONG = timedelta(days=1)
NOTHING = timedelta(0)

_numbers = count(0xF000_0000_0000_0000)  # of which a signed number of 64 bits is negative


def a_request_served(parent_span_id: str | None = None) -> ServedRequest:
    trace = TraceContext(trace_id=f"{next(_numbers):032x}", span_id=f"{next(_numbers):016x}")
    return ServedRequest(
        trace,
        parent_span_id,
        "POST",
        "/api/v1/jobs",
        201,
        1_893_499_200_000_000_001,
        1_893_499_200_000_000_002,
        3,
        7,
    )


async def kept(stores: Stores, *served: ServedRequest) -> list[ServedRequest]:
    """Those of them that are still there."""
    now = await stores.now()
    found = await stores.request_spans.find([Asked(one.trace.span_id, now) for one in served])
    return sorted(found, key=lambda one: one.trace.span_id)


async def test_what_was_kept_is_found_as_it_was(stores: Stores) -> None:
    one, other, unkept = (
        a_request_served(),
        a_request_served(parent_span_id="00f067aa0ba902b7"),
        a_request_served(),
    )
    await stores.request_spans.keep([one, other])
    assert await kept(stores, one, unkept, other) == [one, other]
    assert await kept(stores, other) == [other]
    assert await kept(stores) == []


async def test_nothing_is_kept_of_nothing(stores: Stores) -> None:
    await stores.request_spans.keep([])
    assert await stores.request_spans.find([]) == []
    assert await stores.request_spans.prune(NOTHING, spans_max=0, limit=10) == 0


async def test_what_was_kept_for_long_goes(stores: Stores) -> None:
    batches = [[a_request_served(), a_request_served()] for _ in range(2)]
    for batch in batches:
        await stores.request_spans.keep(batch)
    flat = [one for batch in batches for one in batch]
    assert await stores.request_spans.prune(LONG, spans_max=100, limit=10) == 0
    assert await kept(stores, *flat) == flat
    assert await stores.request_spans.prune(-LONG, spans_max=100, limit=10) == 4
    assert await kept(stores, *flat) == []


async def test_of_too_many_the_oldest_go(stores: Stores) -> None:
    served = [a_request_served() for _ in range(5)]
    for one in served:
        await stores.request_spans.keep([one])
    assert await stores.request_spans.prune(LONG, spans_max=3, limit=10) == 2
    assert await kept(stores, *served) == served[2:]
    assert await stores.request_spans.prune(LONG, spans_max=0, limit=2) == 2
    assert await kept(stores, *served) == served[4:]
