from typing import Any

import pytest

from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import Api, a_submission, problem, submit


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [a_submission(idempotency_key=f"k{index}", **fields) for index in range(count)]


async def test_a_batch_is_answered_in_its_order(api: Api) -> None:
    answer = await api.post("/jobs/batch", json={"jobs": rows(3)})

    assert answer.status_code == 201
    told = answer.json()["data"]
    assert [row["outcome"] for row in told] == ["created"] * 3
    keys = [(await api.get(f"/jobs/{row['job_id']}")).json()["data"]["idempotency_key"] for row in told]
    assert keys == ["k0", "k1", "k2"]


async def test_what_is_there_is_found(api: Api) -> None:
    job = await submit(api, idempotency_key="k1")

    told = (await api.post("/jobs/batch", json={"jobs": [*rows(2), a_submission(priority=9)]})).json()["data"]

    assert told[1] == {"job_id": job["job_id"], "outcome": "existing", "same_request": True}
    assert told[2] == {"job_id": job["job_id"], "outcome": "existing", "same_request": False}


async def test_a_key_that_comes_twice_is_found_the_second_time(api: Api) -> None:
    told = (await api.post("/jobs/batch", json={"jobs": [*rows(1), *rows(1), *rows(1, priority=9)]})).json()[
        "data"
    ]

    assert [row["outcome"] for row in told] == ["created", "existing", "existing"]
    assert [row["same_request"] for row in told] == [True, True, False]
    assert len({row["job_id"] for row in told}) == 1


async def test_an_empty_batch_makes_nothing(api: Api) -> None:
    answer = await api.post("/jobs/batch", json={"jobs": []})

    assert (answer.status_code, answer.json()) == (201, {"data": []})


async def test_each_bad_row_is_named_whatever_is_wrong_with_it(api: Api) -> None:
    bad: list[Any] = [
        a_submission(),
        a_submission(priority=11, queue=""),
        a_submission(priority="5"),
        {"type": "work"},
        None,
        a_submission(payload={"a": "\u0000"}),
    ]

    told = problem(
        await api.post("/jobs/batch", json={"jobs": bad}), 422,
        "jobs[1].queue", "jobs[1].priority", "jobs[2].priority", "jobs[3].idempotency_key", "jobs[4]",
        "jobs[5].payload",
    )  # fmt: skip

    assert told["detail"].endswith("and 3 more")
    assert (await api.get("/jobs")).json()["data"] == []


async def test_rows_that_break_rules_alone_are_named(api: Api) -> None:
    bad = [a_submission(), a_submission(max_retries=-1)]

    problem(await api.post("/jobs/batch", json={"jobs": bad}), 422, "jobs[1].max_retries")


async def test_a_dependency_that_is_not_there_is_named_with_its_row(api: Api) -> None:
    flow = (await api.post("/workflows", json={"name": "flow"})).json()["data"]["workflow_id"]
    bad = rows(2, workflow_id=flow)
    bad[1]["depends_on"] = ["0198c0de-0000-7000-8000-000000000000"]

    problem(await api.post("/jobs/batch", json={"jobs": bad}), 422, "jobs[1].depends_on[0]")
    assert (await api.get("/jobs")).json()["data"] == []


async def test_a_payload_over_the_limit_refuses_the_batch(api: Api) -> None:
    bad = [a_submission(), a_submission(payload={"a": "x" * 3_000})]

    problem(await api.post("/jobs/batch", json={"jobs": bad}), 413, "jobs[1].payload")
    assert (await api.get("/jobs")).json()["data"] == []


@pytest.mark.parametrize("bad_too", [False, True])
async def test_more_jobs_than_a_batch_may_have_are_refused(api: Api, system: System, bad_too: bool) -> None:
    jobs = rows(system.submit_jobs.batch_max + 1)
    if bad_too:
        jobs[0]["priority"] = "5"

    told = problem(await api.post("/jobs/batch", json={"jobs": jobs}), 422, "jobs")

    assert told["detail"] == "jobs: at most 10000 jobs in one batch, not 10001"
    assert (await api.get("/jobs")).json()["data"] == []


async def test_as_many_jobs_as_a_batch_may_have_are_stored(api: Api, system: System) -> None:
    answer = await api.post("/jobs/batch", json={"jobs": rows(system.submit_jobs.batch_max)})

    assert answer.status_code == 201
    assert len(answer.json()["data"]) == 10_000


@pytest.mark.parametrize("body", [{}, {"jobs": {}}, {"jobs": None}, {"jobs": "k1"}, {"job": []}])
async def test_a_batch_is_an_object_with_a_list(api: Api, body: Any) -> None:
    told = problem(
        await api.post("/jobs/batch", json=body), 422, *(["jobs", "job"] if "job" in body else ["jobs"])
    )

    assert told["type"].endswith("invalid-request")
