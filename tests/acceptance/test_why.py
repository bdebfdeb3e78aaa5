"""Why a job does not run, over a real server."""

from tests.acceptance.api import Api, fresh, problem, step
from tests.acceptance.server import Document


def why(api: Api, job_id: str) -> Document:
    answer = api.get(f"/jobs/{job_id}/why")
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    assert document.keys() == {"data"}
    told: Document = document["data"]
    assert told.keys() == {"job_id", "status", "ready", "summary", "reasons"}
    assert told["job_id"] == job_id
    assert told["summary"].startswith(f"{told['status']}: {told['reasons'][0]['message']}")
    return told


def codes(told: Document) -> list[str]:
    return [reason["code"] for reason in told["reasons"]]


def test_a_job_that_nobody_can_run(api: Api) -> None:
    queue = fresh("queue")
    job = api.submit(queue=queue, scheduled_at="2999-01-31T08:00:00Z")
    api.post(f"/queues/{queue}/pause")
    told = why(api, job["job_id"])
    assert (codes(told), told["ready"]) == (["due_later", "queue_paused", "type_unknown"], False)
    later, paused, unknown = told["reasons"]
    assert (later["until"], paused["queue"], unknown["type"]) == (job["scheduled_at"], queue, "waits")
    api.post(f"/queues/{queue}/resume")
    assert codes(why(api, job["job_id"])) == ["due_later", "type_unknown"]


def test_a_job_that_has_ended(api: Api) -> None:
    done = api.ended(api.submit(type="echo")["job_id"])
    told = why(api, done["job_id"])
    assert (codes(told), told["reasons"][0]["worker_ids"]) == (["succeeded"], [done["worker_id"]])
    dead = api.ended(api.submit(type="fail", payload={"message": "no"}, max_retries=0)["job_id"])
    told = why(api, dead["job_id"])
    assert (codes(told), told["reasons"][0]["error_message"]) == (["dead"], "no")


def test_jobs_of_a_workflow_tell_what_they_wait_for_and_what_failed(api: Api) -> None:
    flow = api.create_workflow(step("a", "waits"), step("b", after=("a",)), step("c", after=("b",)))
    steps = api.steps(flow)
    told = why(api, steps["c"]["job_id"])
    assert codes(told) == ["waits_for_jobs"]
    assert [(job["key"], job["status"]) for job in told["reasons"][0]["jobs"]] == [
        ("b", "PENDING"),
        ("a", "PENDING"),
    ]
    api.post(f"/jobs/{steps['a']['job_id']}/cancel")
    told = why(api, steps["c"]["job_id"])
    assert codes(told) == ["upstream_failed"]
    assert [(job["key"], job["status"]) for job in told["reasons"][0]["jobs"]] == [
        ("b", "CANCELED"),
        ("a", "CANCELED"),
    ]
    assert codes(why(api, steps["a"]["job_id"])) == ["canceled"]


def test_a_job_that_is_not_there(api: Api) -> None:
    job_id = api.submit()["job_id"]
    problem(api.get(f"/jobs/{job_id[:-4]}0000/why"), 404)
    problem(api.get("/jobs/not-an-id/why"), 422)
