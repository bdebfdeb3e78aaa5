"""Many callers at once, and more than one API."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.api import ENDED, Api, fresh, step, submission
from tests.acceptance.server import running
from tests.programs import until


@pytest.fixture(scope="module")
def second(acceptance_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Another API process on the same database."""
    with running(
        tmp_path_factory.mktemp("second"),
        "api",
        DATABASE_URL=acceptance_database,
        METRICS_LABEL_VALUES_MAX="10000",
    ) as server:
        api = Api(server.url)
        yield api
        api.close()


def at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(lambda call: call(), calls))


def test_one_of_fifty_submissions_of_a_key_wins(api: Api, second: Api) -> None:
    body = submission(queue=fresh("queue"))
    calls = [lambda one=one: one.post("/jobs", body) for one in (api, second) * 25]
    answers = at_once(*calls)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    ids = {answer.json()["data"]["job_id"] for answer in answers}
    assert [job["job_id"] for job in api.jobs(queue=body["queue"])] == list(ids)
    assert all(answer.json()["same_request"] for answer in answers if answer.status_code == 409)


def test_batches_that_share_keys_do_not_block_each_other(api: Api, second: Api) -> None:
    queue = fresh("queue")
    jobs = [submission(queue=queue) for _ in range(200)]
    orders = [jobs, jobs[::-1], jobs[100:] + jobs[:100]] * 4
    answers = at_once(*(
        lambda one=one, order=order: one.post("/jobs/batch", {"jobs": order})
        for one, order in zip((api, second) * 6, orders, strict=True)
    ))  # fmt: skip
    assert {answer.status_code for answer in answers} == {201}
    outcomes = Counter(row["outcome"] for answer in answers for row in answer.json()["data"])
    assert outcomes == {"created": 200, "existing": 2200}
    assert len({row["job_id"] for answer in answers for row in answer.json()["data"]}) == 200
    api.post("/queue/purge", queue=queue)


def test_one_of_ten_workflows_of_a_name_wins(api: Api, second: Api) -> None:
    body = {"name": fresh("flow"), "jobs": [step("a", "waits"), step("b", after=("a",))]}
    answers = at_once(*(lambda one=one: one.post("/workflows", body) for one in (api, second) * 5))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}


def test_cancel_and_completion_at_once_leave_one_truth(api: Api, second: Api) -> None:
    made = [api.submit(type="sleep", payload={"seconds": 0.05})["job_id"] for _ in range(20)]
    answers = at_once(*(
        lambda one=one, job_id=job_id: one.post(f"/jobs/{job_id}/cancel")
        for one, job_id in zip((api, second) * 10, made, strict=True)
    ))  # fmt: skip
    for job_id, answer in zip(made, answers, strict=True):
        job = api.ended(job_id)
        assert (answer.status_code, job["status"]) in {(200, "CANCELED"), (409, "SUCCESS")}
        moves = api.moves(job_id)
        assert moves[-1] == job["status"]
        assert sum(move in ENDED for move in moves) == 1


def test_one_of_many_cancels_wins(api: Api, second: Api) -> None:
    job = api.submit()
    answers = at_once(
        *(lambda one=one: one.post(f"/jobs/{job['job_id']}/cancel") for one in (api, second) * 10)
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}
    assert api.moves(job["job_id"]) == ["PENDING", "CANCELED"]


def test_one_of_many_retries_wins(api: Api, second: Api) -> None:
    job = api.submit()
    for _ in range(5):
        api.post(f"/jobs/{job['job_id']}/cancel")
        answers = at_once(
            *(lambda one=one: one.post(f"/jobs/{job['job_id']}/retry") for one in (api, second) * 10)
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 19}


def test_steps_added_while_their_upstream_ends_all_run(api: Api, second: Api) -> None:
    flow = api.create_workflow()
    first = api.submit(type="sleep", payload={"seconds": 0.05}, workflow_id=flow)["job_id"]
    answers = at_once(*(
        lambda one=one: one.post("/jobs", submission(type="echo", workflow_id=flow, depends_on=[first]))
        for one in (api, second) * 10
    ))  # fmt: skip
    assert {answer.status_code for answer in answers} == {201}
    assert {api.ended(answer.json()["data"]["job_id"])["status"] for answer in answers} == {"SUCCESS"}


def test_a_wait_on_one_api_hears_of_an_end_on_the_other(api: Api, second: Api) -> None:
    job = api.submit()

    def cancel() -> httpx.Response:
        return api.post(f"/jobs/{job['job_id']}/cancel")

    def wait() -> httpx.Response:
        return second.get(f"/jobs/{job['job_id']}", wait=60)

    waited, canceled = at_once(wait, cancel)
    assert (canceled.status_code, waited.json()["data"]["status"]) == (200, "CANCELED")


def test_both_tell_the_same(api: Api, second: Api) -> None:
    job: dict[str, Any] = api.submit(queue=fresh("queue"))
    assert second.job(job["job_id"]) == job

    def told(one: Api) -> dict[str, float]:
        # But for how long something has waited, which is another at each moment.
        shared = (
            "jobs_created_total",
            "queue_enqueued_total",
            "queue_length",
            "queue_dlq_length",
            "queue_running",
        )
        return {sample: value for sample, value in one.metrics().items() if sample.startswith(shared)}

    until(lambda: told(api) == told(second), "both to tell the same metrics")


def test_a_batch_does_not_hold_up_others(api: Api, second: Api) -> None:
    queue = fresh("queue")
    batch = {"jobs": [submission(queue=queue) for _ in range(10_000)]}
    answers = at_once(
        lambda: api.post("/jobs/batch", batch),
        *(lambda: api.http.get("/health/live") for _ in range(5)),
        lambda: second.post("/jobs", submission(queue=queue)),
    )
    assert [answer.status_code for answer in answers] == [201, *[200] * 5, 201]
    assert api.post("/queue/purge", queue=queue).json()["purged"] == 10_001
