"""Jobs as they are cached: what goes in comes out, and nothing else does."""

from datetime import timedelta
from enum import Enum

import attrs
import orjson
import pytest
from attrs import frozen

from schedora.adapters.redis import cached_job
from schedora.adapters.redis.cached_job import FORMAT, decode, encode
from schedora.domain.events import AttemptError
from schedora.domain.ids import JobId, JsonText, WorkerId
from schedora.domain.job import Job
from schedora.domain.job_state import JobState
from schedora.domain.retry import RetryKind, RetryPolicy
from tests.builders import HOUR, NOON, a_job, a_job_id, a_request, a_workflow_id


def succeeded() -> Job:
    return a_job(JobState.SUCCESS)


def test_a_job_comes_out_as_it_went_in() -> None:
    job = succeeded()
    assert decode(encode(job)) == job
    assert decode(encode(job)).completed_at == job.completed_at


def test_with_everything_that_it_can_have() -> None:
    retried = a_job(JobState.SUCCESS)
    job = attrs.evolve(
        retried,
        request=a_request(
            payload=JsonText('{"a":[1.50,"ü\\u0000\U0001f600"]}'),
            idempotency_key="k\n",
            scheduled_at=NOON,
            retry=RetryPolicy(
                kind=RetryKind.JITTER, base=timedelta(microseconds=1), max_delay=366 * 24 * HOUR
            ),
            timeout=timedelta(seconds=0.1),
            workflow_id=a_workflow_id(),
            key="b",
            depends_on=(a_job_id(), a_job_id()),
        ),
        errors=(
            AttemptError(
                attempt=1, at=NOON, worker_id=WorkerId("w"), kind="Oops", message="ü", traceback="T\nb"
            ),
            AttemptError(attempt=2, at=NOON, worker_id=None, kind="timeout", message=""),
        ),
        history=retried.events(),
        result=JsonText("1e400"),
        suspect=True,
    )
    assert decode(encode(job)) == job
    assert decode(encode(job)).events() == job.events()


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"{}",
        b"\x80\x04\x95.",
        b"\xff",
        encode(succeeded())[:-1],
        encode(succeeded()).replace(b'"status"', b'"state"'),
        encode(succeeded()).replace(b"{", b'{"more":1,', 1),
        encode(succeeded()).replace(b'"SUCCESS"', b'"GREAT"'),
        encode(succeeded()).replace(b'"tenant_id":1', b'"tenant_id":"x"'),
        encode(a_job(JobState.DEAD)),
        encode(a_job(JobState.RUNNING)),
    ],
    ids=[
        "empty",
        "cut off",
        "null",
        "list",
        "nothing in it",
        "pickle",
        "no text",
        "without its end",
        "another field",
        "one field more",
        "another state",
        "another type",
        "dead",
        "running",
    ],
)
def test_anything_else_is_refused(entry: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a job|not for the cache"):
        decode(entry)


def test_a_field_out_of_its_bounds_is_refused() -> None:
    entry = orjson.loads(encode(succeeded()))
    entry["request"]["priority"] = 11
    with pytest.raises(ValueError, match="priority must be between 0 and 10"):
        decode(orjson.dumps(entry))


class Colour(Enum):
    RED = 1


class MoreColours(Enum):
    RED = 1
    BLUE = 2


def shape(kind: object) -> str:
    return "\n".join(cached_job._shape(kind)).replace("MoreColours", "Colour")


def test_the_format_follows_every_class_that_a_job_is_made_of() -> None:
    said = shape(Job)
    for name in (
        "errors",
        "traceback",
        "max_retries",
        "span_id",
        "depends_on",
        "from_state",
        "SUCCESS=SUCCESS",
    ):
        assert name in said, name
    assert len(FORMAT) == 8


def test_the_format_is_another_when_a_field_is() -> None:
    @frozen
    class Inner:
        a: int

    @frozen
    class Outer:
        inner: tuple[Inner | None, ...]
        job_id: JobId

    Before = Outer  # noqa: N806 - a class

    @frozen
    class Inner:  # type: ignore[no-redef]
        a: int
        b: int = 0

    @frozen
    class Outer:  # type: ignore[no-redef]
        inner: tuple[Inner | None, ...]
        job_id: JobId

    assert shape(Before) != shape(Outer)
    assert shape(tuple[Colour, ...]) != shape(tuple[MoreColours, ...])
