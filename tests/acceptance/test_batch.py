"""Batches: many jobs, all or none of them."""

from typing import Any

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, submission


def rows(api: Api, *jobs: Any) -> list[dict[str, Any]]:
    answer = api.post("/jobs/batch", {"jobs": list(jobs)})
    assert answer.status_code == 201, answer.text
    assert answer.json().keys() == {"data"}
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def test_a_batch_is_answered_in_the_order_given(api: Api) -> None:
    jobs = [submission(payload={"n": n}, priority=n % 11) for n in range(50)]
    answered = rows(api, *jobs)
    assert [row.keys() for row in answered] == [{"job_id", "outcome", "same_request"}] * 50
    assert {row["outcome"] for row in answered} == {"created"}
    assert [api.job(row["job_id"])["payload"]["n"] for row in answered[::7]] == list(range(50))[::7]
    assert [row["job_id"] for row in answered] == sorted({row["job_id"] for row in answered})


def test_taken_keys_are_existing(api: Api) -> None:
    same, other, new = submission(), submission(), submission()
    first, second = (api.post("/jobs", body).json()["data"]["job_id"] for body in (same, other))
    answered = rows(api, same, {**other, "payload": {"changed": True}}, new)
    assert answered[:2] == [
        {"job_id": first, "outcome": "existing", "same_request": True},
        {"job_id": second, "outcome": "existing", "same_request": False},
    ]
    assert answered[2]["outcome"] == "created"
    assert api.job(second)["payload"] == {}


def test_a_key_that_comes_twice_is_existing_the_second_time(api: Api) -> None:
    body = submission(queue=fresh("twice"))
    answered = rows(api, body, body, {**body, "priority": 9})
    assert [(row["outcome"], row["same_request"]) for row in answered] == [
        ("created", True), ("existing", True), ("existing", False),
    ]  # fmt: skip
    assert len({row["job_id"] for row in answered}) == 1
    assert [job["priority"] for job in api.jobs(queue=body["queue"])] == [5]


def test_ten_thousand_are_taken(api: Api) -> None:
    queue = fresh("many")
    answered = rows(api, *(submission(queue=queue, payload={"n": n}) for n in range(10_000)))
    assert len({row["job_id"] for row in answered}) == 10_000
    assert [api.job(answered[n]["job_id"])["payload"]["n"] for n in (0, 4_999, 9_999)] == [0, 4_999, 9_999]
    listed = [job["job_id"] for page in api.pages("/jobs", queue=queue, limit=500) for job in page]
    assert sorted(listed) == [row["job_id"] for row in answered]
    assert api.post("/queue/purge", queue=queue).json()["purged"] == 10_000


def test_one_more_is_refused(api: Api) -> None:
    queue = fresh("many")
    answer = api.post("/jobs/batch", {"jobs": [submission(queue=queue) for _ in range(10_001)]})
    error = refused(answer, "jobs")
    assert "10000" in error["message"].replace(",", "")
    assert "10001" in answer.text.replace(",", "")
    assert api.jobs(queue=queue) == []


def test_an_empty_batch_has_an_empty_answer(api: Api) -> None:
    assert rows(api) == []


def test_each_bad_row_is_named_and_nothing_is_stored(api: Api) -> None:
    queue = fresh("bad")
    good = submission(queue=queue)
    bad = [{**good, "priority": 11}, {"type": "x"}, "no job", {**good, "typo": 1}, {**good, "payload": []}]
    answer = api.post("/jobs/batch", {"jobs": [good, *bad, good]})
    fields = {error["field"] for error in problem(answer, 422)["errors"]}
    assert fields == {
        "jobs[1].priority", "jobs[2].idempotency_key", "jobs[3]", "jobs[4].typo", "jobs[5].payload",
    }  # fmt: skip
    assert api.jobs(queue=queue) == []


def test_rules_of_the_domain_name_the_row_too(api: Api) -> None:
    queue = fresh("bad")
    jobs = [submission(queue=queue) for _ in range(3)]
    jobs[1]["payload"] = {"x": "a" * (1024 * 1024)}
    refused(api.post("/jobs/batch", {"jobs": jobs}), "jobs[1].payload", status=413)
    jobs[1]["payload"] = {}
    jobs[2]["workflow_id"] = "00000000-0000-7000-8000-000000000000"
    problem(api.post("/jobs/batch", {"jobs": jobs}), 422)
    assert api.jobs(queue=queue) == []


def test_ten_thousand_bad_rows_are_named_each(api: Api) -> None:
    answer = api.post("/jobs/batch", {"jobs": [submission(priority=11)] * 10_000})
    assert answer.status_code == 422
    document = answer.json()
    assert [error["field"] for error in document["errors"]] == [f"jobs[{n}].priority" for n in range(10_000)]
    assert len(document["detail"]) < 2_000


@pytest.mark.parametrize(
    "body", [{}, {"jobs": None}, {"jobs": {}}, {"jobs": "x"}, [], {"jobs": [], "more": 1}]
)
def test_what_is_no_batch_is_refused(api: Api, body: Any) -> None:
    problem(api.post("/jobs/batch", body), 422)


def test_jobs_of_a_batch_run(api: Api) -> None:
    answered = rows(api, *(submission(type="echo", payload={"n": n}) for n in range(30)))
    results = [api.ended(row["job_id"])["result"] for row in answered]
    assert results == [{"n": n} for n in range(30)]
