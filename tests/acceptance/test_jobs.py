"""Jobs: submitted, looked at, waited for, listed, canceled, run again."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, seconds_between, submission

DEFAULTS = {
    "payload": {},
    "priority": 5,
    "queue": "default",
    "max_retries": 3,
    "retry_policy": "exponential",
    "retry_base_seconds": 60,
    "retry_max_seconds": 3600,
    "timeout_seconds": 300,
    "workflow_id": None,
    "depends_on": [],
    "status": "PENDING",
    "worker_id": None,
    "attempt": 0,
    "retry_count": 0,
    "lease_token": 0,
    "worker_deaths": 0,
    "claimed_at": None,
    "started_at": None,
    "completed_at": None,
    "error_message": None,
    "errors": [],
    "result": None,
}


def instant(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def test_a_submitted_job_is_answered_whole_with_its_address(api: Api) -> None:
    key = fresh("key")
    answer = api.post("/jobs", {"type": "waits", "idempotency_key": key})
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"data"}
    job = answer.json()["data"]
    assert {name: job[name] for name in DEFAULTS} == DEFAULTS
    assert (job["type"], job["idempotency_key"]) == ("waits", key)
    assert uuid.UUID(job["job_id"]).version == 7
    assert job["scheduled_at"] == job["created_at"]
    assert abs(instant(job["created_at"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert len(job["trace_id"]) == 32
    assert answer.headers["location"] == f"/api/v1/jobs/{job['job_id']}"
    assert api.http.get(answer.headers["location"]).json()["data"] == job


def test_keys_of_jobs_are_ordered_by_time(api: Api) -> None:
    made = [api.submit()["job_id"] for _ in range(5)]
    assert made == sorted(made)


def test_every_field_is_kept(api: Api) -> None:
    given = {
        "type": "waits",
        "payload": {"text": "grüße \U0001f600", "number": 12345678901234567890, "list": [1, 2.5, None, True]},
        "idempotency_key": fresh("key"),
        "priority": 10,
        "queue": fresh("queue"),
        "scheduled_at": "2100-01-01T01:30:00+01:30",
        "max_retries": 100,
        "retry_policy": "jitter",
        "retry_base_seconds": 0.5,
        "retry_max_seconds": 7.25,
        "timeout_seconds": 0.125,
    }
    answer = api.post("/jobs", given)
    assert answer.status_code == 201
    job = api.job(answer.json()["data"]["job_id"])
    assert {name: job[name] for name in given} == {**given, "scheduled_at": job["scheduled_at"]}
    assert instant(job["scheduled_at"]) == datetime(2100, 1, 1, tzinfo=UTC)
    assert job["scheduled_at"].endswith("Z")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "x"), ("type", "x" * 200), ("idempotency_key", "k"), ("idempotency_key", "k".ljust(255, "x")),
        ("priority", 0), ("priority", 10), ("max_retries", 0), ("max_retries", 100),
        ("timeout_seconds", 0.001), ("timeout_seconds", 1), ("retry_base_seconds", 0),
        ("retry_policy", "fixed"), ("scheduled_at", "2020-01-01T00:00:00Z"), ("scheduled_at", "2020-01-01T00:00:00-23:59"),
        ("payload", {"": {"": []}}),
    ],
)  # fmt: skip
def test_what_stands_at_the_edge_is_allowed(api: Api, field: str, value: Any) -> None:
    answer = api.post("/jobs", submission(**{"queue": fresh("edge"), field: value}))
    assert answer.status_code == 201, answer.text
    stored = answer.json()["data"][field]
    assert instant(stored) == instant(value) if field == "scheduled_at" else stored == value


def test_a_payload_as_large_as_allowed_is_taken_and_one_byte_more_is_not(api: Api) -> None:
    frame = len(b'{"x":""}')
    largest = {"x": "a" * (1024 * 1024 - frame)}
    assert api.post("/jobs", submission(payload=largest)).status_code == 201
    queue = fresh("large")
    too_large = {"x": largest["x"] + "a"}
    error = refused(api.post("/jobs", submission(payload=too_large, queue=queue)), "payload", status=413)
    assert "1048576" in error["message"].replace(",", "").replace("_", "")
    assert api.jobs(queue=queue) == []


def test_a_taken_key_answers_with_the_job_that_has_it(api: Api) -> None:
    body = submission(payload={"n": 1})
    first = api.post("/jobs", body).json()["data"]
    taken = problem(api.post("/jobs", body), 409)
    assert taken["data"] == first
    assert taken["same_request"] is True


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload", {"n": 2}), ("type", "other"), ("queue", "other"), ("priority", 1), ("max_retries", 1),
        ("retry_policy", "fixed"), ("timeout_seconds", 9), ("scheduled_at", "2100-01-01T00:00:00Z"),
        ("retry_max_seconds", 9),
    ],
)  # fmt: skip
def test_a_taken_key_tells_when_the_stored_request_differs(api: Api, field: str, value: Any) -> None:
    body = submission(payload={"n": 1})
    first = api.post("/jobs", body).json()["data"]
    taken = problem(api.post("/jobs", {**body, field: value}), 409)
    assert taken["same_request"] is False
    assert taken["data"]["job_id"] == first["job_id"]
    assert api.job(first["job_id"])[field] == first[field]


def test_the_key_of_a_job_that_has_ended_is_still_taken(api: Api) -> None:
    body = submission(type="echo", payload={"n": 1})
    job = api.ended(api.post("/jobs", body).json()["data"]["job_id"])
    taken = problem(api.post("/jobs", body), 409)
    assert (taken["data"], taken["same_request"]) == (job, True)


def test_the_same_number_written_otherwise_is_the_same_request(api: Api) -> None:
    body = submission(payload={"b": 1, "a": 2}, timeout_seconds=5)
    api.post("/jobs", body)
    again = {**body, "payload": {"a": 2, "b": 1}, "timeout_seconds": 5.0}
    assert problem(api.post("/jobs", again), 409)["same_request"] is True


def test_a_job_runs_and_tells_its_story(api: Api) -> None:
    job = api.ended(api.submit(type="echo", payload={"hello": "world"})["job_id"])
    assert (job["status"], job["result"], job["attempt"], job["retry_count"]) == (
        "SUCCESS", {"hello": "world"}, 1, 0,
    )  # fmt: skip
    assert job["lease_token"] == 1
    assert job["worker_id"]
    assert job["created_at"] <= job["claimed_at"] <= job["started_at"] <= job["completed_at"]
    events = api.events(job["job_id"])
    assert [(event["from"], event["to"]) for event in events] == [
        (None, "PENDING"), ("PENDING", "SCHEDULED"), ("SCHEDULED", "RUNNING"), ("RUNNING", "SUCCESS"),
    ]  # fmt: skip
    assert all(event.keys() == {"at", "from", "to", "attempt", "worker_id", "reason"} for event in events)
    assert [event["worker_id"] for event in events] == [None, *[job["worker_id"]] * 3]
    assert events[0]["at"] == job["created_at"]
    assert events[-1]["at"] == job["completed_at"]
    moments = [event["at"] for event in events]
    assert moments == sorted(moments)


def test_a_job_does_not_run_before_its_time(api: Api) -> None:
    due = datetime.now(UTC) + timedelta(seconds=0.6)
    job = api.ended(api.submit(type="echo", scheduled_at=due.isoformat())["job_id"])
    assert instant(job["claimed_at"]) >= due


def test_sleep_takes_seconds_and_fail_takes_a_message(api: Api) -> None:
    slept = api.ended(api.submit(type="sleep", payload={"seconds": 0.2})["job_id"])
    assert slept["status"] == "SUCCESS"
    assert seconds_between(slept["started_at"], slept["completed_at"]) > 0.15
    failed = api.ended(api.submit(type="fail", payload={"message": "no luck"}, max_retries=0)["job_id"])
    assert failed["status"] == "DEAD"
    assert "no luck" in failed["error_message"]


def test_waiting_lasts_until_the_job_ends(api: Api) -> None:
    job = api.submit(type="sleep", payload={"seconds": 0.3})
    assert api.job(job["job_id"], wait=60)["status"] == "SUCCESS"
    assert api.job(job["job_id"], wait=60)["status"] == "SUCCESS"


def test_waiting_ends_when_its_time_is_over(api: Api) -> None:
    job = api.submit()
    answer = api.get(f"/jobs/{job['job_id']}", wait=0.2)
    assert (answer.status_code, answer.json()["data"]["status"]) == (200, "PENDING")
    assert answer.elapsed >= timedelta(seconds=0.2)
    assert api.job(job["job_id"], wait=0)["status"] == "PENDING"


@pytest.mark.parametrize("wait", ["60.1", "61", "-1", "nan", "inf", "soon", "", "1e400"])
def test_waiting_too_long_is_refused(api: Api, wait: str) -> None:
    refused(api.get(f"/jobs/{api.submit()['job_id']}", wait=wait), "wait")


@pytest.mark.parametrize("call", ["", "/events", "/cancel", "/retry"])
def test_a_job_that_is_not_there_is_not_found(api: Api, call: str) -> None:
    nobody = str(uuid.uuid4())
    answer = (
        api.post(f"/jobs/{nobody}{call}")
        if call in {"/cancel", "/retry"}
        else api.get(f"/jobs/{nobody}{call}")
    )
    assert nobody in problem(answer, 404)["detail"]


def test_a_job_that_is_not_there_is_not_waited_for(api: Api) -> None:
    answer = api.get(f"/jobs/{uuid.uuid4()}", wait=60)
    problem(answer, 404)
    assert answer.elapsed < timedelta(seconds=50)


def test_a_waiting_job_is_canceled(api: Api) -> None:
    job = api.submit()
    answer = api.post(f"/jobs/{job['job_id']}/cancel")
    assert answer.status_code == 200
    canceled = answer.json()["data"]
    assert canceled.keys() == {"job_id", "status", "message"}
    assert (canceled["job_id"], canceled["status"]) == (job["job_id"], "CANCELED")
    assert canceled["message"]
    found = api.job(job["job_id"])
    assert (found["status"], found["attempt"]) == ("CANCELED", 0)
    assert found["completed_at"] is not None
    assert api.moves(job["job_id"]) == ["PENDING", "CANCELED"]


def test_a_running_job_is_interrupted(api: Api) -> None:
    queue = fresh("busy")
    job = api.submit(type="sleep", payload={"seconds": 600}, queue=queue)
    api.in_status(job["job_id"], "RUNNING")
    assert api.post(f"/jobs/{job['job_id']}/cancel").json()["data"]["status"] == "CANCELED"
    found = api.job(job["job_id"])
    assert (found["status"], found["result"]) == ("CANCELED", None)
    assert api.moves(job["job_id"]) == ["PENDING", "SCHEDULED", "RUNNING", "CANCELED"]


def test_a_retrying_job_is_canceled(api: Api) -> None:
    job = api.submit(type="fail", payload={"message": "x"}, retry_base_seconds=3600)
    api.in_status(job["job_id"], "RETRYING")
    assert api.post(f"/jobs/{job['job_id']}/cancel").status_code == 200
    assert api.moves(job["job_id"])[-3:] == ["FAILED", "RETRYING", "CANCELED"]


@pytest.mark.parametrize("end", ["SUCCESS", "DEAD", "CANCELED"])
def test_what_has_ended_cannot_be_canceled(api: Api, end: str) -> None:
    job = api.submit(type={"SUCCESS": "echo", "DEAD": "fail", "CANCELED": "waits"}[end], max_retries=0)
    if end == "CANCELED":
        api.post(f"/jobs/{job['job_id']}/cancel")
    before = api.ended(job["job_id"])
    assert before["status"] == end
    assert end in problem(api.post(f"/jobs/{job['job_id']}/cancel"), 409)["detail"]
    assert api.job(job["job_id"]) == before


def test_a_dead_job_runs_again_with_a_new_budget(api: Api) -> None:
    job = api.submit(type="fail", payload={"message": "x"}, max_retries=1)
    dead = api.ended(job["job_id"])
    assert (dead["status"], dead["attempt"], dead["retry_count"], len(dead["errors"])) == ("DEAD", 2, 1, 2)
    answer = api.post(f"/jobs/{job['job_id']}/retry")
    assert answer.status_code == 200
    again = answer.json()["data"]
    assert (again["job_id"], again["status"], again["retry_count"]) == (job["job_id"], "PENDING", 0)
    assert again["errors"] == dead["errors"]
    twice = api.ended(job["job_id"])
    assert (twice["status"], twice["retry_count"], len(twice["errors"])) == ("DEAD", 1, 4)
    assert twice["lease_token"] == 4
    assert api.moves(job["job_id"]) == ["PENDING", *["SCHEDULED", "RUNNING", "FAILED", "RETRYING",
        "SCHEDULED", "RUNNING", "FAILED", "DEAD", "PENDING"] * 2][:-1]  # fmt: skip


def test_a_canceled_job_runs_again(api: Api) -> None:
    job = api.submit(type="echo", payload={"n": 1}, scheduled_at="2100-01-01T00:00:00Z")
    api.post(f"/jobs/{job['job_id']}/cancel")
    assert api.post(f"/jobs/{job['job_id']}/retry").json()["data"]["status"] == "PENDING"
    assert api.moves(job["job_id"])[:3] == ["PENDING", "CANCELED", "PENDING"]


@pytest.mark.parametrize("status", ["PENDING", "RUNNING", "SUCCESS", "RETRYING"])
def test_only_what_is_dead_or_canceled_runs_again(api: Api, status: str) -> None:
    job_type, payload = {
        "PENDING": ("waits", {}), "RUNNING": ("sleep", {"seconds": 600}), "SUCCESS": ("echo", {}),
        "RETRYING": ("fail", {}),
    }[status]  # fmt: skip
    job = api.submit(type=job_type, payload=payload, retry_base_seconds=3600)
    before = api.in_status(job["job_id"], status)
    assert status in problem(api.post(f"/jobs/{job['job_id']}/retry"), 409)["detail"]
    assert api.job(job["job_id"]) == before
    if status != "SUCCESS":
        assert api.post(f"/jobs/{job['job_id']}/cancel").status_code == 200


def test_lists_filter_by_every_column(api: Api) -> None:
    queue, job_type = fresh("queue"), fresh("type")
    flow = api.create_workflow()
    waiting = api.submit(queue=queue, type=job_type)["job_id"]
    member = api.submit(queue=queue, workflow_id=flow)["job_id"]
    done = api.ended(api.submit(queue=queue, type="echo")["job_id"])
    gone = api.submit(queue=queue)["job_id"]
    api.post(f"/jobs/{gone}/cancel")

    def found(**filters: Any) -> set[str]:
        return {job["job_id"] for job in api.jobs(**filters)}

    assert found(queue=queue) == {waiting, member, done["job_id"], gone}
    assert found(type=job_type) == {waiting}
    assert found(queue=queue, type="echo") == {done["job_id"]}
    assert found(queue=queue, status="CANCELED") == {gone}
    assert found(queue=queue, status="PENDING") == {waiting, member}
    assert found(queue=queue, status="SUCCESS") == {done["job_id"]}
    assert found(queue=queue, status="DEAD") == set()
    assert found(workflow_id=flow) == {member}
    assert found(queue=queue, worker_id=done["worker_id"]) == {done["job_id"]}
    assert found(queue=queue, worker_id="nobody") == set()


def test_lists_of_running_and_retrying_jobs(api: Api) -> None:
    queue = fresh("queue")
    running = api.submit(queue=queue, type="sleep", payload={"seconds": 600})["job_id"]
    retrying = api.submit(queue=queue, type="fail", retry_base_seconds=3600)["job_id"]
    held = api.in_status(running, "RUNNING")
    api.in_status(retrying, "RETRYING")
    assert [job["job_id"] for job in api.jobs(queue=queue, status="RUNNING")] == [running]
    assert [
        job["job_id"] for job in api.jobs(queue=queue, worker_id=held["worker_id"], status="RUNNING")
    ] == [running]
    assert [job["job_id"] for job in api.jobs(queue=queue, status="RETRYING")] == [retrying]
    assert api.jobs(queue=queue, status="SCHEDULED") == []
    assert api.jobs(queue=queue, status="PENDING") == []
    for job_id in (running, retrying):
        api.post(f"/jobs/{job_id}/cancel")


def test_lists_filter_by_time(api: Api) -> None:
    queue = fresh("queue")
    first, second, third = (api.submit(queue=queue) for _ in range(3))
    after = {job["job_id"] for job in api.jobs(queue=queue, created_after=first["created_at"])}
    before = {job["job_id"] for job in api.jobs(queue=queue, created_before=third["created_at"])}
    assert {second["job_id"], third["job_id"]} <= after
    assert {first["job_id"], second["job_id"]} <= before
    between = {
        job["job_id"]
        for job in api.jobs(
            queue=queue, created_after=first["created_at"], created_before=third["created_at"]
        )
    }
    assert between == after & before
    assert api.jobs(queue=queue, created_after="2100-01-01T00:00:00+02:00") == []


def test_pages_lead_to_the_end_without_gaps_or_repeats(api: Api) -> None:
    queue = fresh("queue")
    made = api.post("/jobs/batch", {"jobs": [submission(queue=queue) for _ in range(25)]})
    stored = [row["job_id"] for row in made.json()["data"]]
    pages = api.pages("/jobs", queue=queue, limit=10)
    first = next(pages)
    api.submit(queue=queue)  # what comes meanwhile moves nothing
    rest = list(pages)
    assert [len(page) for page in [first, *rest]][:2] == [10, 10]
    listed = [job["job_id"] for page in [first, *rest] for job in page]
    assert len(listed) == len(set(listed))
    assert set(stored) <= set(listed)


def test_pages_that_end_on_the_limit_end(api: Api) -> None:
    queue = fresh("queue")
    for _ in range(4):
        api.submit(queue=queue)
    assert [len(page) for page in api.pages("/jobs", queue=queue, limit=2) if page] == [2, 2]


def test_jobs_in_a_list_are_jobs(api: Api) -> None:
    job = api.submit(queue=fresh("queue"))
    assert api.jobs(queue=job["queue"]) == [job]


@pytest.mark.parametrize("limit", ["0", "-1", "501", "1.5", "ten", "", "1e2", "99999999999999999999"])
def test_limits_out_of_range_are_refused(api: Api, limit: str) -> None:
    refused(api.get("/jobs", limit=limit), "limit")


def test_the_largest_limit_is_allowed(api: Api) -> None:
    assert api.get("/jobs", limit=500).status_code == 200
    assert len(api.get("/jobs", limit=1).json()["data"]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "pending?"), ("status", ""), ("workflow_id", "x"), ("created_after", "yesterday"),
        ("created_before", "2026-01-01T00:00:00"), ("cursor", "x"), ("cursor", ""), ("cursor", "bnVsbA=="),
        ("stauts", "DEAD"), ("queue", "a\x00b"), ("type", "a\x00b"), ("worker_id", "a\x00b"),
    ],
)  # fmt: skip
def test_filters_that_make_no_sense_are_refused(api: Api, name: str, value: str) -> None:
    errors = problem(api.get("/jobs", **{name: value}), 422)["errors"]
    assert [error["field"].split("[")[0] for error in errors] == [name]
