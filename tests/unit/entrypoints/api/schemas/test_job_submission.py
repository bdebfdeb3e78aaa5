"""Submissions of a kind that is known: no different from those whose every field is checked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.application.errors import TooLarge
from schedora.domain.job_request import JobRequest
from schedora.entrypoints.api.problems import Problem, Refused
from schedora.entrypoints.api.schemas.job_submission import JobFields, JobSubmission
from tests.builders import TRACE

PAYLOAD_MAX_BYTES = 40

names = st.sampled_from(["", "work", "é", "a\x00b", "x" * 201, "x" * 255, "x" * 256])
spans = st.sampled_from([-1.0, 0.0, -0.0, 0.5, 60.0, 300.0, 1e9, 1e300])
payloads = st.dictionaries(
    st.sampled_from(["a", "b", "\x00"]), st.sampled_from([None, 1, 2.5, "é" * 19, "é" * 21, [1, {"c": 2}]])
)
submissions = st.fixed_dictionaries(
    {"type": names, "idempotency_key": names},
    optional={
        "payload": payloads,
        "priority": st.integers(-1, 11),
        "queue": names,
        "scheduled_at": st.sampled_from([None, "2031-05-01T14:30:00.5+02:00"]),
        "max_retries": st.integers(-1, 101),
        "retry_policy": st.sampled_from(["fixed", "exponential", "jitter"]),
        "retry_base_seconds": spans,
        "retry_max_seconds": spans,
        "timeout_seconds": spans,
        "workflow_id": st.sampled_from([None, "0198c0de-0000-7000-8000-000000000000"]),
        "depends_on": st.sampled_from([None, [], ["0198c0de-0000-7000-8000-000000000001"]]),
    },
)


def outcome(make: Any, submission: JobSubmission) -> JobRequest | Problem | tuple[str, str]:
    try:
        made: JobRequest = make(submission, trace=TRACE, payload_max_bytes=PAYLOAD_MAX_BYTES)
    except Refused as refused:
        return refused.problem
    except TooLarge as error:
        return error.field, str(error)
    return made


@given(submissions)
def test_a_known_kind_is_taken_and_refused_like_any_other(fields: dict[str, Any]) -> None:
    submission = JobSubmission.model_validate(fields)

    told = outcome(JobSubmission.request, submission)

    checked = outcome(JobFields.request, submission)
    assert told == checked
    if isinstance(told, JobRequest) and isinstance(checked, JobRequest):
        assert told.fingerprint() == checked.fingerprint()


def test_what_comes_of_one_submission_is_not_seen_by_the_next() -> None:
    one = JobSubmission(type="work", idempotency_key="k1", payload={"a": 1})
    other = JobSubmission(type="work", idempotency_key="k2", payload={})

    made = [one.request(trace=TRACE, payload_max_bytes=PAYLOAD_MAX_BYTES) for one in (one, other, one)]

    assert [request.idempotency_key for request in made] == ["k1", "k2", "k1"]
    assert [request.payload for request in made] == ['{"a":1}', "{}", '{"a":1}']


@pytest.mark.parametrize("size", [PAYLOAD_MAX_BYTES, PAYLOAD_MAX_BYTES + 1])
def test_the_limit_of_a_payload_counts_bytes(size: int) -> None:
    text = "é" * ((size - len('{"a":""}')) // 2) + "x" * (size % 2)
    submission = JobSubmission(type="work", idempotency_key="k", payload={"a": text})

    told = outcome(JobSubmission.request, submission)

    assert isinstance(told, JobRequest) is (size <= PAYLOAD_MAX_BYTES)
