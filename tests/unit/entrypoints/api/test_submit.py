import json
from typing import Any
from uuid import UUID

import pytest

from schedora.entrypoints.api.schemas.jobs import JobView
from tests.unit.entrypoints.api.conftest import DEAD, JSON, Api, Bench, a_submission, problem, submit

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_a_job_is_stored_and_found_at_its_location(api: Api) -> None:
    answer = await api.post("/jobs", json=a_submission(payload={"to": "ada", "n": [1, None, 2.5]}))

    job = answer.json()["data"]
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["location"] == f"/api/v1/jobs/{job['job_id']}"
    assert (await api.get(f"http://schedora.test{answer.headers['location']}")).json() == answer.json()
    assert job["payload"] == {"to": "ada", "n": [1, None, 2.5]}


async def test_what_is_not_given_has_its_default(api: Api) -> None:
    job = await submit(api)

    assert UUID(job["job_id"]).version == 7
    assert job["created_at"] == job["scheduled_at"] == "2030-01-01T00:00:00Z"
    assert job | {"job_id": None, "trace_id": None} == {
        "job_id": None,
        "type": "work",
        "payload": {},
        "idempotency_key": "k1",
        "priority": 5,
        "queue": "default",
        "scheduled_at": "2030-01-01T00:00:00Z",
        "max_retries": 3,
        "retry_policy": "exponential",
        "retry_base_seconds": 60,
        "retry_max_seconds": 3600,
        "timeout_seconds": 300,
        "workflow_id": None,
        "key": None,
        "depends_on": [],
        "status": "PENDING",
        "worker_id": None,
        "attempt": 0,
        "retry_count": 0,
        "lease_token": 0,
        "worker_deaths": 0,
        "created_at": "2030-01-01T00:00:00Z",
        "claimed_at": None,
        "started_at": None,
        "completed_at": None,
        "error_message": None,
        "errors": [],
        "progress": None,
        "result": None,
        "trace_id": None,
    }
    assert job.keys() == JobView.__annotations__.keys()


async def test_every_field_is_kept(api: Api) -> None:
    fields = {
        "priority": 10,
        "queue": "mail",
        "max_retries": 0,
        "retry_policy": "jitter",
        "retry_base_seconds": 0.5,
        "retry_max_seconds": 7,
        "timeout_seconds": 0.25,
    }

    job = await submit(api, **fields, scheduled_at="2031-05-01T14:30:00.5+02:00")

    assert fields.items() <= job.items()
    assert job["scheduled_at"] == "2031-05-01T12:30:00.500000Z"


async def test_depends_on_names_jobs_of_the_same_workflow(api: Api) -> None:
    flow = (await api.post("/workflows", json={"name": "flow"})).json()["data"]["workflow_id"]
    first = await submit(api, workflow_id=flow)

    second = await submit(api, workflow_id=flow, depends_on=[first["job_id"]], idempotency_key="k2")

    assert second["depends_on"] == [first["job_id"]]
    assert second["workflow_id"] == flow


async def test_null_is_taken_for_what_may_be_absent(api: Api) -> None:
    job = await submit(api, scheduled_at=None, workflow_id=None, depends_on=None)

    assert job["workflow_id"] is None


async def test_a_taken_key_answers_409_with_the_job_that_has_it(api: Api) -> None:
    job = await submit(api)

    told = problem(await api.post("/jobs", json=a_submission()), 409)

    assert told["type"].endswith("key-taken")
    assert told["data"] == job
    assert told["same_request"] is True


@pytest.mark.parametrize(
    "other",
    [{"payload": {"a": 1}}, {"priority": 6}, {"queue": "mail"}, {"type": "other"}, {"timeout_seconds": 1}],
)
async def test_a_taken_key_tells_that_the_request_differs(api: Api, other: dict[str, Any]) -> None:
    job = await submit(api)

    told = problem(await api.post("/jobs", json=a_submission(**other)), 409)

    assert told["same_request"] is False
    assert told["data"]["job_id"] == job["job_id"]


async def test_the_order_of_keys_makes_no_other_request(api: Api) -> None:
    await submit(api, payload={"a": 1, "b": 2})

    told = problem(await api.post("/jobs", json=a_submission(payload={"b": 2, "a": 1})), 409)

    assert told["same_request"] is True


async def test_an_ended_job_is_shown_when_its_key_is_taken(api: Api, bench: Bench) -> None:
    await submit(api)
    await bench.run(DEAD)

    told = problem(await api.post("/jobs", json=a_submission()), 409)

    assert told["data"]["status"] == "DEAD"


async def test_every_rule_broken_is_told(api: Api) -> None:
    bad = a_submission(
        type="", queue="q" * 201, priority=11, max_retries=101, retry_base_seconds=-1,
        retry_max_seconds=1e300, timeout_seconds=0, idempotency_key="k" * 256,
    )  # fmt: skip

    told = problem(
        await api.post("/jobs", json=bad), 422,
        "retry_max_seconds", "max_retries", "retry_base_seconds", "type", "queue",
        "idempotency_key", "priority", "timeout_seconds",
    )  # fmt: skip

    assert {"field": "priority", "message": "priority must be between 0 and 10, not 11", "value": 11} in told[
        "errors"
    ]


async def test_every_wrong_type_is_told(api: Api) -> None:
    bad = a_submission(priority="5", payload=[], surprise=1)

    told = problem(await api.post("/jobs", json=bad), 422, "payload", "priority", "surprise")

    assert told["errors"][2] == {"field": "surprise", "message": "is not a known field", "value": 1}


async def test_the_key_is_required(api: Api) -> None:
    problem(await api.post("/jobs", json={"type": "work"}), 422, "idempotency_key")
    problem(await api.post("/jobs", json=a_submission(idempotency_key=None)), 422, "idempotency_key")
    problem(await api.post("/jobs", json=a_submission(idempotency_key="")), 422, "idempotency_key")


async def test_a_workflow_must_be_there(api: Api) -> None:
    nowhere = "0198c0de-0000-7000-8000-000000000000"

    problem(await api.post("/jobs", json=a_submission(workflow_id=nowhere)), 422, "workflow_id")
    problem(await api.post("/jobs", json=a_submission(depends_on=[nowhere])), 422, "depends_on")


async def test_a_dependency_in_another_workflow_is_refused(api: Api) -> None:
    one = (await api.post("/workflows", json={"name": "one"})).json()["data"]["workflow_id"]
    two = (await api.post("/workflows", json={"name": "two"})).json()["data"]["workflow_id"]
    job = await submit(api, workflow_id=one)

    bad = a_submission(workflow_id=two, depends_on=[job["job_id"]], idempotency_key="k2")
    problem(await api.post("/jobs", json=bad), 422, "depends_on[0]")


async def test_a_canceled_workflow_takes_no_more_jobs(api: Api) -> None:
    flow = (await api.post("/workflows", json={"name": "flow"})).json()["data"]["workflow_id"]
    await submit(api, workflow_id=flow)
    await api.post(f"/workflows/{flow}/cancel")

    told = problem(await api.post("/jobs", json=a_submission(workflow_id=flow, idempotency_key="k2")), 409)

    assert told["type"].endswith("workflow-closed")


async def test_the_job_belongs_to_the_callers_trace(api: Api) -> None:
    answer = await api.post("/jobs", json=a_submission(), headers={"traceparent": TRACEPARENT})

    assert answer.json()["data"]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    "traceparent", ["nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "é", "x" * 5000]
)
async def test_a_malformed_traceparent_starts_a_new_trace(api: Api, traceparent: str) -> None:
    headers = [(b"traceparent", traceparent.encode("latin-1"))]

    answer = await api.post("/jobs", json=a_submission(), headers=headers)

    assert answer.status_code == 201
    assert len(answer.json()["data"]["trace_id"]) == 32


async def test_the_payload_comes_back_as_it_went_in(api: Api) -> None:
    text = (
        '{"big":123456789012345678901234567890,"empty":"","float":1e-7,"nested":{"a":[[],{}]},"π":"ñ\\u2028"}'
    )
    body = f'{{"type":"work","idempotency_key":"k1","payload":{text}}}'

    answer = await api.post("/jobs", content=body.encode(), headers={"content-type": "application/json"})

    assert answer.status_code == 201
    assert answer.json()["data"]["payload"] == json.loads(text)


@pytest.mark.parametrize("over", [0, 1])
async def test_the_payload_may_have_its_limit_and_no_more(api: Api, over: int) -> None:
    payload = {"a": "x" * (2_000 - len('{"a":""}') + over)}

    answer = await api.post("/jobs", json=a_submission(payload=payload))

    if over:
        told = problem(answer, 413, "payload")
        assert "2001 bytes" in told["detail"]
        assert (await api.get("/jobs")).json()["data"] == []
    else:
        assert answer.status_code == 201


async def test_the_payloads_limit_counts_bytes(api: Api) -> None:
    problem(await api.post("/jobs", json=a_submission(payload={"a": "é" * 1_000})), 413, "payload")


async def test_a_body_of_far_more_than_a_payload_is_not_looked_at(api: Api) -> None:
    body = f'{{"type":"work","idempotency_key":"k1","payload":{{"a":[{"[]," * 24_000}[]]}}}}'

    told = problem(await api.post("/jobs", content=body.encode(), headers=JSON), 413, "body")

    assert f"at most {2_000 + 65_536} are allowed" in told["detail"]


async def test_a_payload_written_at_length_is_measured_in_brief(api: Api) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in "x" * 1_900)
    body = f'{{"type":"work","idempotency_key":"k1","payload":{{"a":"{escaped}"}}}}'

    assert (await api.post("/jobs", content=body.encode(), headers=JSON)).status_code == 201
