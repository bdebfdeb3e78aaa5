from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from schedora.application.telemetry import span as span_module
from schedora.application.telemetry.span import (
    LINKS_MAX,
    Part,
    Span,
    SpanKind,
    SpanLink,
    linked,
    nanoseconds,
    process_span_id,
    span_id_of,
)
from schedora.domain.ids import JobId

JOB = JobId(UUID("0198f000-0000-7000-8000-000000000001"))
AT = datetime(2030, 1, 1, 12, 0, 0, 1, tzinfo=UTC)


def test_an_id_is_the_same_wherever_it_is_worked_out() -> None:
    assert span_id_of(JOB, AT, Part.PROCESS) == "62c0a344d7fe5dfe"
    assert process_span_id(JOB, AT) == span_id_of(JOB, AT, Part.PROCESS)
    assert span_id_of(JOB, AT.astimezone(tz=None), Part.PROCESS) == process_span_id(JOB, AT)


def test_ids_differ_by_owner_instant_and_part() -> None:
    jobs = (JOB, UUID(int=JOB.int + 1))
    instants = (AT, AT + timedelta(microseconds=1))
    made = {span_id_of(job, at, part) for job, at, part in product(jobs, instants, Part)}
    assert len(made) == len(jobs) * len(instants) * len(Part)
    assert all(len(one) == 16 for one in made)


def test_no_id_is_of_zeros_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Zeros:
        def __init__(self, *_: object, **__: object) -> None: ...

        def hexdigest(self) -> str:
            return "0" * 16

    monkeypatch.setattr(span_module, "blake2b", Zeros)
    assert span_id_of(JOB, AT, Part.WAIT) == "0000000000000001"


def test_nanoseconds_are_exact() -> None:
    assert nanoseconds(AT) == 1_893_499_200_000_001_000


def test_no_more_links_are_made_than_a_span_has() -> None:
    made: list[int] = []

    def link(to: int) -> SpanLink:
        made.append(to)
        return SpanLink(trace_id="1" * 32, span_id=f"{to:016x}")

    span = Span(
        trace_id="2" * 32, span_id="3" * 16, parent_span_id=None, name="wait", kind=SpanKind.INTERNAL, start_ns=0,
        end_ns=None,
    )  # fmt: skip
    with_links = linked(span, range(10_000), link)
    assert made == list(range(LINKS_MAX))
    assert (len(with_links.links), with_links.links_dropped) == (LINKS_MAX, 10_000 - LINKS_MAX)


def test_ids_tell_moments_apart_that_a_float_would_not() -> None:
    late = datetime(9000, 1, 1, tzinfo=UTC)
    moments = [late + timedelta(microseconds=count) for count in range(100)]
    assert len({span_id_of(JOB, moment, "part") for moment in moments}) == 100
