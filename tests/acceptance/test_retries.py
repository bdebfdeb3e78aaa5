"""Retries, and the jobs that ran out of them."""

import uuid
from typing import Any

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, seconds_between


@pytest.mark.parametrize(
    ("retry_policy", "retries_made", "retry_max_seconds", "least", "most"),
    [
        ("fixed", 0, 3600, 60, 60),
        ("fixed", 2, 3600, 60, 60),
        ("fixed", 0, 45, 45, 45),
        ("exponential", 0, 3600, 60, 60),
        ("exponential", 1, 3600, 120, 120),
        ("exponential", 2, 3600, 240, 240),
        ("exponential", 3, 300, 300, 300),
        ("jitter", 0, 3600, 60, 90),
        ("jitter", 2, 3600, 240, 360),
        ("jitter", 2, 240, 240, 240),
    ],
)
def test_the_next_run_is_as_far_away_as_the_policy_says(
    api: Api, retry_policy: str, retries_made: int, retry_max_seconds: int, least: int, most: int
) -> None:
    job = api.submit(
        type="stumbles", payload={"times": retries_made}, retry_policy=retry_policy,
        retry_base_seconds=60, retry_max_seconds=retry_max_seconds, max_retries=10,
    )  # fmt: skip
    failed = api.in_status(job["job_id"], "RETRYING")

    def settled() -> dict[str, Any]:
        return api.job(job["job_id"])

    while len(failed["errors"]) <= retries_made or failed["status"] != "RETRYING":
        failed = settled()
    assert failed["retry_count"] == retries_made + 1
    assert failed["error_message"] == failed["errors"][-1]["message"]
    assert least <= seconds_between(failed["errors"][-1]["at"], failed["scheduled_at"]) <= most
    api.post(f"/jobs/{job['job_id']}/cancel")


def test_the_delay_never_overflows(api: Api) -> None:
    job = api.submit(
        type="fail",
        max_retries=100,
        retry_base_seconds=31_622_400,
        retry_max_seconds=31_622_400,
        queue=fresh("far"),
    )
    assert api.in_status(job["job_id"], "RETRYING")["retry_count"] == 1
    api.post(f"/jobs/{job['job_id']}/cancel")


def test_a_job_that_ran_out_of_retries_keeps_each_failure(api: Api) -> None:
    job = api.ended(api.submit(type="fail", payload={"message": "broken"}, max_retries=2)["job_id"])
    assert (job["status"], job["attempt"], job["retry_count"]) == ("DEAD", 3, 2)
    assert [error["attempt"] for error in job["errors"]] == [1, 2, 3]
    for error in job["errors"]:
        assert error.keys() == {"attempt", "at", "worker_id", "kind", "message", "traceback"}
        assert (error["worker_id"], error["message"]) == (job["worker_id"], "broken")
        assert error["kind"].isidentifier()
        assert "broken" in error["traceback"]
    again = ["SCHEDULED", "RUNNING", "FAILED"]
    assert api.moves(job["job_id"]) == ["PENDING", *again, "RETRYING", *again, "RETRYING", *again, "DEAD"]


def test_an_exception_gives_its_name_as_kind(api: Api) -> None:
    job = api.ended(api.submit(type="stumbles", payload={"times": 0}, max_retries=0)["job_id"])
    assert [error["kind"] for error in job["errors"]] == ["RuntimeError"]
    assert job["error_message"] == "stumbled"


def test_a_handler_gives_up_at_once(api: Api) -> None:
    job = api.ended(api.submit(type="discards", payload={"reason": "no such order"}, max_retries=9)["job_id"])
    assert (job["status"], job["attempt"]) == ("DEAD", 1)
    assert "no such order" in job["error_message"]


def test_a_snooze_uses_up_no_attempt(api: Api) -> None:
    job = api.ended(api.submit(type="snoozes", max_retries=0)["job_id"])
    assert (job["status"], job["result"], job["attempt"], job["lease_token"]) == (
        "SUCCESS",
        "attempt 1",
        1,
        2,
    )
    assert api.moves(job["job_id"]) == [
        "PENDING", "SCHEDULED", "RUNNING", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS",
    ]  # fmt: skip


def test_an_attempt_that_takes_too_long_fails(api: Api) -> None:
    job = api.submit(type="sleep", payload={"seconds": 600}, timeout_seconds=0.2, max_retries=1)
    dead = api.ended(job["job_id"])
    assert (dead["status"], [error["kind"] for error in dead["errors"]]) == ("DEAD", ["timeout", "timeout"])
    assert seconds_between(dead["started_at"], dead["completed_at"]) > 0.15


@pytest.mark.parametrize(
    ("job_type", "payload", "kind", "word"),
    [
        ("adds", {"left": 1}, "invalid_payload", "right"),
        ("adds", {"left": 1, "right": "2"}, "invalid_payload", "right"),
        ("adds", {"left": 1, "right": 2, "more": 3}, "invalid_payload", "more"),
        ("answers_nan", {}, "invalid_result", ""),
    ],
)
def test_what_can_never_work_is_dead_at_once(
    api: Api, job_type: str, payload: dict[str, Any], kind: str, word: str
) -> None:
    job = api.ended(api.submit(type=job_type, payload=payload, max_retries=5)["job_id"])
    assert (job["status"], job["attempt"], [error["kind"] for error in job["errors"]]) == ("DEAD", 1, [kind])
    assert word in job["error_message"]


def dead(api: Api, **fields: Any) -> str:
    job_id: str = api.submit(**{"type": "fail", "max_retries": 0, **fields})["job_id"]
    assert api.ended(job_id)["status"] == "DEAD"
    return job_id


def listed(api: Api, **filters: Any) -> set[str]:
    answer = api.get("/dlq", **filters)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"data", "next_cursor"}
    return {job["job_id"] for job in answer.json()["data"]}


def test_the_dead_letter_queue_lists_dead_jobs(api: Api) -> None:
    queue = fresh("dlq")
    failed = dead(api, queue=queue)
    discarded = dead(api, queue=queue, type="discards", payload={"reason": "x"})
    stumbled = dead(api, queue=queue, type="stumbles", payload={"times": 0})
    gone = api.submit(queue=queue)["job_id"]
    api.post(f"/jobs/{gone}/cancel")
    assert listed(api, queue=queue) == {failed, discarded, stumbled}
    assert listed(api, queue=queue, type="discards") == {discarded}
    assert listed(api, queue=queue, error_kind="RuntimeError") == {stumbled}
    assert listed(api, queue=queue, error_kind="timeout") == set()
    assert api.get("/dlq", queue=queue, type="fail").json()["data"] == [api.job(failed)]


def test_the_dead_letter_queue_has_pages(api: Api) -> None:
    queue = fresh("dlq")
    made = {dead(api, queue=queue) for _ in range(5)}
    pages = list(api.pages("/dlq", queue=queue, limit=2))
    found = [job["job_id"] for page in pages for job in page]
    assert (len(found), set(found)) == (5, made)
    refused(api.get("/dlq", limit=501), "limit")
    refused(api.get("/dlq", cursor="x"), "cursor")
    refused(api.get("/dlq", kind="x"), "kind")


def test_one_dead_job_is_requeued(api: Api) -> None:
    job_id = dead(api, queue=fresh("dlq"))
    answer = api.post(f"/dlq/{job_id}/requeue")
    assert answer.status_code == 200
    assert (answer.json()["data"]["job_id"], answer.json()["data"]["status"]) == (job_id, "PENDING")
    assert len(api.ended(job_id)["errors"]) == 2


@pytest.mark.parametrize("as_body", [True, False])
def test_dead_jobs_are_requeued_by_filter(api: Api, as_body: bool) -> None:
    queue = fresh("dlq")
    failed, stumbled = dead(api, queue=queue), dead(api, queue=queue, type="stumbles", payload={"times": 0})

    def requeue(**filters: Any) -> int:
        answer = api.post("/dlq/requeue", filters) if as_body else api.post("/dlq/requeue", **filters)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"data"}
        assert answer.json()["data"].keys() == {"requeued"}
        return int(answer.json()["data"]["requeued"])

    assert requeue(queue=queue, type="nothing") == 0
    assert requeue(queue=queue, error_kind="RuntimeError") == 1
    api.ended(stumbled)
    assert requeue(queue=queue, type="fail") == 1
    api.ended(failed)
    assert requeue(queue=queue) == 2
    assert [len(api.ended(job_id)["errors"]) for job_id in (failed, stumbled)] == [3, 3]


def test_all_dead_jobs_are_requeued(api: Api) -> None:
    job_id = dead(api, queue=fresh("dlq"))
    answer = api.post("/dlq/requeue")
    assert (answer.status_code, answer.json()["data"]["requeued"] >= 1) == (200, True)
    assert len(api.ended(job_id)["errors"]) == 2
    assert api.post("/dlq/requeue", {}).status_code == 200


@pytest.mark.parametrize(
    "body", [{"type": 1}, {"stauts": "x"}, {"queue": ""}, [], {"error_kind": None, "x": 1}]
)
def test_a_filter_that_makes_no_sense_requeues_nothing(api: Api, body: Any) -> None:
    job_id = dead(api, queue=fresh("dlq"))
    before = api.job(job_id)
    problem(api.post("/dlq/requeue", body), 422)
    refused(api.post("/dlq/requeue", stauts="x"), "stauts")
    assert api.job(job_id) == before


def test_a_dead_job_is_deleted(api: Api) -> None:
    job_id = dead(api, queue=fresh("dlq"))
    answer = api.delete(f"/dlq/{job_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(api.get(f"/jobs/{job_id}"), 404)
    problem(api.get(f"/jobs/{job_id}/events"), 404)
    problem(api.delete(f"/dlq/{job_id}"), 404)


def test_the_key_of_a_deleted_job_is_free(api: Api) -> None:
    key = fresh("key")
    assert api.delete(f"/dlq/{dead(api, idempotency_key=key)}").status_code == 204
    api.submit(idempotency_key=key)


def test_only_dead_jobs_are_in_the_dead_letter_queue(api: Api) -> None:
    job = api.submit()
    assert "PENDING" in problem(api.post(f"/dlq/{job['job_id']}/requeue"), 409)["detail"]
    assert "PENDING" in problem(api.delete(f"/dlq/{job['job_id']}"), 409)["detail"]
    assert api.job(job["job_id"]) == job
    nobody = uuid.uuid4()
    problem(api.post(f"/dlq/{nobody}/requeue"), 404)
    problem(api.delete(f"/dlq/{nobody}"), 404)
    refused(api.post("/dlq/x/requeue"), "job_id")
    refused(api.delete("/dlq/x"), "job_id")
