"""What a submitter may ask for."""

from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.errors import InvalidField
from schedora.domain.ids import JobId, JsonText, WorkflowId
from schedora.domain.job_request import (
    DEPENDENCIES_MAX,
    EARLIEST,
    KEY_LENGTH_MAX,
    LATEST,
    PRIORITY_MAX,
    QUEUE_LENGTH_MAX,
    TIMEOUT_LIMIT,
    TYPE_LENGTH_MAX,
    JobRequest,
    check_instant,
)
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import HOUR, NOON, SECOND, TRACE, a_job_id, a_request, a_workflow_id

MICROSECOND = timedelta(microseconds=1)


def test_defaults_are_those_of_the_contract() -> None:
    request = JobRequest(type="work")
    assert (request.payload, request.priority, request.queue) == ("{}", 5, "default")
    assert request.retry == RetryPolicy(
        kind=RetryKind.EXPONENTIAL, max_retries=3, base=60 * SECOND, max_delay=3600 * SECOND
    )
    assert request.timeout == 300 * SECOND
    assert (request.scheduled_at, request.workflow_id, request.key) == (None, None, None)
    assert request.idempotency_key is None
    assert request.depends_on == ()


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("type", {"type": ""}),
        ("type", {"type": "x" * (TYPE_LENGTH_MAX + 1)}),
        ("type", {"type": "a\x00"}),
        ("type", {"type": "\ud800"}),
        ("queue", {"queue": ""}),
        ("queue", {"queue": "x" * (QUEUE_LENGTH_MAX + 1)}),
        ("queue", {"queue": "\x00"}),
        ("idempotency_key", {"idempotency_key": ""}),
        ("idempotency_key", {"idempotency_key": "x" * (KEY_LENGTH_MAX + 1)}),
        ("idempotency_key", {"idempotency_key": "\udfff"}),
        ("key", {"key": ""}),
        ("key", {"key": "x" * (KEY_LENGTH_MAX + 1)}),
        ("priority", {"priority": -1}),
        ("priority", {"priority": PRIORITY_MAX + 1}),
        ("timeout_seconds", {"timeout": timedelta(0)}),
        ("timeout_seconds", {"timeout": -SECOND}),
        ("timeout_seconds", {"timeout": TIMEOUT_LIMIT + MICROSECOND}),
        ("scheduled_at", {"scheduled_at": NOON.replace(tzinfo=None)}),
        ("scheduled_at", {"scheduled_at": EARLIEST - MICROSECOND}),
        ("scheduled_at", {"scheduled_at": LATEST}),
        ("depends_on", {"depends_on": (a_job_id(),)}),
    ],
)
def test_field_that_breaks_its_rule_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidField, match=f"^{field} must be ") as caught:
        a_request(**fields)
    assert caught.value.field == field


ONE = a_job_id()
MANY = (*(a_job_id() for _ in range(DEPENDENCIES_MAX)), ONE)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"priority": 11}, "priority must be between 0 and 10, not 11"),
        (
            {"timeout": TIMEOUT_LIMIT + SECOND},
            "timeout_seconds must be greater than 0 and at most 31622400 seconds, not 31622401.0",
        ),
        ({"depends_on": MANY}, f"depends_on must be at most {DEPENDENCIES_MAX} jobs, not {len(MANY)}"),
        ({"depends_on": (ONE, ONE)}, f"depends_on must be without repetition, not ['{ONE}', '{ONE}']"),
        (
            {"depends_on": (ONE,), "workflow_id": None},
            f"depends_on must be empty for a job outside of a workflow: dependencies need a workflow_id, not ['{ONE}']",
        ),
    ],
    ids=["priority", "timeout", "number of dependencies", "repetition", "no workflow"],
)
def test_it_is_told_what_is_allowed_and_what_was_given(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidField) as caught:
        a_request(**{"workflow_id": a_workflow_id()} | fields)
    assert str(caught.value) == told


def test_fields_may_fill_their_bounds() -> None:
    a_request(
        type="ж" * TYPE_LENGTH_MAX,
        queue="x" * QUEUE_LENGTH_MAX,
        idempotency_key="x" * KEY_LENGTH_MAX,
        key="x" * KEY_LENGTH_MAX,
        priority=PRIORITY_MAX,
        timeout=TIMEOUT_LIMIT,
        scheduled_at=LATEST - MICROSECOND,
    )
    a_request(type="x", priority=0, timeout=MICROSECOND, scheduled_at=EARLIEST)


def test_dependencies_are_bounded_and_distinct() -> None:
    workflow_id, one = a_workflow_id(), a_job_id()
    many = tuple(a_job_id() for _ in range(DEPENDENCIES_MAX))
    a_request(workflow_id=workflow_id, depends_on=many)
    for depends_on in ((*many, one), (one, one)):
        with pytest.raises(InvalidField, match=r"^depends_on"):
            a_request(workflow_id=workflow_id, depends_on=depends_on)


class Nowhere(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, moment: datetime | None, /) -> None:
        return None

    dst = utcoffset

    def tzname(self, moment: datetime | None, /) -> None:
        return None


@pytest.mark.parametrize("zone", [None, Nowhere()])
def test_instant_without_an_offset_is_refused(zone: tzinfo | None) -> None:
    with pytest.raises(InvalidField) as caught:
        check_instant("at", NOON.replace(tzinfo=zone))
    assert str(caught.value) == (
        "at must be an instant with an offset, like 2030-01-31T08:00:00Z, not '2030-01-01T12:00:00'"
    )


def test_instant_that_no_store_can_keep_is_refused() -> None:
    with pytest.raises(InvalidField) as caught:
        check_instant("at", LATEST)
    assert (caught.value.field, caught.value.value) == ("at", LATEST.isoformat())
    assert caught.value.allowed == f"between {EARLIEST.isoformat()} and {LATEST.isoformat()}"


@pytest.mark.parametrize("hours", [-11, 0, 14])
def test_instant_with_an_offset_is_taken(hours: int) -> None:
    check_instant("at", datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=hours))))


def test_bounds_of_instants_are_instants_whatever_the_offset() -> None:
    east = timezone(timedelta(hours=14))
    check_instant("at", EARLIEST.astimezone(east))
    with pytest.raises(InvalidField):
        check_instant("at", LATEST.astimezone(east))


BASE = a_request(workflow_id=a_workflow_id(), key="k", scheduled_at=NOON, depends_on=(a_job_id(), a_job_id()))
DIFFERENT: dict[str, Any] = {
    "type": "other",
    "payload": JsonText('{"a":1}'),
    "priority": 6,
    "queue": "other",
    "scheduled_at": NOON + MICROSECOND,
    "retry": RetryPolicy(max_retries=4),
    "timeout": 301 * SECOND,
    "workflow_id": a_workflow_id(),
    "key": "other",
    "depends_on": BASE.depends_on[:1],
}


@pytest.mark.parametrize("field", DIFFERENT)
def test_fingerprint_tells_different_requests_apart(field: str) -> None:
    assert attrs.evolve(BASE, **{field: DIFFERENT[field]}).fingerprint() != BASE.fingerprint()


@pytest.mark.parametrize(
    "retry",
    [
        RetryPolicy(kind=RetryKind.FIXED),
        RetryPolicy(base=60 * SECOND + MICROSECOND),
        RetryPolicy(max_delay=3600 * SECOND + MICROSECOND),
    ],
)
def test_fingerprint_tells_policies_apart(retry: RetryPolicy) -> None:
    assert attrs.evolve(BASE, retry=retry).fingerprint() != BASE.fingerprint()


@pytest.mark.parametrize("field", ["scheduled_at", "workflow_id", "key"])
def test_fingerprint_tells_given_from_not_given(field: str) -> None:
    fields: dict[str, Any] = {field: None} | ({"depends_on": ()} if field == "workflow_id" else {})
    assert attrs.evolve(BASE, **fields).fingerprint() != BASE.fingerprint()


def test_fingerprint_is_equal_for_equal_requests() -> None:
    same: dict[str, Any] = {
        "trace": TRACE,
        "scheduled_at": NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "depends_on": BASE.depends_on[::-1],
        "idempotency_key": "any",
    }
    for field, value in same.items():
        assert attrs.evolve(BASE, **{field: value}).fingerprint() == BASE.fingerprint(), field


names = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=5)


@given(names, names, names, names)
def test_fingerprint_does_not_run_fields_together(a: str, b: str, c: str, d: str) -> None:
    one, other = a_request(type=a, queue=b), a_request(type=c, queue=d)
    assert (one.fingerprint() == other.fingerprint()) is ((a, b) == (c, d))


def test_fingerprint_has_16_bytes() -> None:
    assert len(BASE.fingerprint()) == 16


def test_other_payload_is_all_that_changes() -> None:
    payload = JsonText('{"other":1}')
    made = BASE.with_payload(payload)
    assert made == attrs.evolve(BASE, payload=payload)
    assert made.fingerprint() == attrs.evolve(BASE, payload=payload).fingerprint()
    assert made.with_payload(BASE.payload) == BASE
    assert BASE.payload == "{}", "it stays as it was"


def test_again_it_is_another_request_of_its_kind() -> None:
    payload = JsonText('{"other":1}')
    made = BASE.again(payload=payload, idempotency_key="k", trace=TRACE)
    assert made == attrs.evolve(BASE, payload=payload, idempotency_key="k", trace=TRACE)
    assert made.fingerprint() == attrs.evolve(BASE, payload=payload).fingerprint()
    assert (BASE.payload, BASE.idempotency_key, BASE.trace) == ("{}", None, None), "it stays as it was"


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x00b"])
def test_again_it_needs_a_lawful_key(key: str) -> None:
    with pytest.raises(InvalidField, match=r"^idempotency_key must be "):
        BASE.again(payload=BASE.payload, idempotency_key=key, trace=TRACE)


def test_as_stored_it_has_its_key_and_no_trace_of_its_own() -> None:
    traced = attrs.evolve(BASE, trace=TRACE)
    assert traced.as_stored(None) == BASE
    assert traced.as_stored("k") == attrs.evolve(BASE, idempotency_key="k")
    assert BASE.as_stored("k") == attrs.evolve(BASE, idempotency_key="k")
    assert BASE.as_stored(None) is BASE


def test_fingerprints_stay_what_they_were() -> None:
    """Those of stored jobs are compared with those of new requests, whichever version made them."""
    request = a_request(
        type="send",
        payload=JsonText('{"a":"ü"}'),
        priority=7,
        queue="mail",
        scheduled_at=NOON,
        retry=RetryPolicy(kind=RetryKind.JITTER, max_retries=2, base=SECOND, max_delay=HOUR),
        timeout=90 * SECOND,
        workflow_id=WorkflowId(UUID(int=2)),
        key="k",
        depends_on=(JobId(UUID(int=3)), JobId(UUID(int=1))),
    )
    assert request.fingerprint().hex() == "e2f527e1a0c9d48f59aeca24f11eb030"


def test_the_same_within_a_trace() -> None:
    made = BASE.within(TRACE)
    assert made.trace == TRACE
    assert made == attrs.evolve(BASE, trace=TRACE)
    assert made.fingerprint() == BASE.fingerprint()
