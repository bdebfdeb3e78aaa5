"""Queues: counted, paused, purged."""

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, submission


def test_stats_tell_of_each_queue(api: Api) -> None:
    queue, job_type = fresh("queue"), fresh("type")
    before = api.get("/queue/stats").json()
    for _ in range(3):
        api.submit(queue=queue, type=job_type)
    gone = api.submit(queue=queue)
    api.post(f"/jobs/{gone['job_id']}/cancel")
    dead = api.submit(queue=queue, type="fail", max_retries=0)
    api.ended(dead["job_id"])
    answer = api.get("/queue/stats")
    assert answer.status_code == 200
    stats = answer.json()
    assert "data" not in stats
    assert stats["pending_jobs"] == before["pending_jobs"] + 3
    assert stats["dlq_jobs"] == before["dlq_jobs"] + 1
    own = stats["queues"][queue]
    assert (own["pending_jobs"], own["dlq_jobs"]) == (3, 1)
    assert (own["by_status"]["PENDING"], own["by_status"]["DEAD"]) == (3, 1)
    assert own["oldest_ready_seconds"] >= 0
    assert stats["oldest_ready_seconds"] >= own["oldest_ready_seconds"]
    assert job_type in stats["unhandled_types"]
    assert not {"echo", "fail", "adds"} & set(stats["unhandled_types"])
    api.post("/queue/purge", queue=queue)


def test_stats_count_every_status(api: Api) -> None:
    queue = fresh("queue")
    api.ended(api.submit(queue=queue, type="echo")["job_id"])
    running = api.submit(queue=queue, type="sleep", payload={"seconds": 600})
    retrying = api.submit(queue=queue, type="fail", retry_base_seconds=3600)
    canceled = api.submit(queue=queue)
    api.post(f"/jobs/{canceled['job_id']}/cancel")
    api.in_status(running["job_id"], "RUNNING")
    api.in_status(retrying["job_id"], "RETRYING")
    own = api.get("/queue/stats").json()["queues"][queue]
    assert own["by_status"] == {
        "PENDING": 0, "SCHEDULED": 0, "RUNNING": 1, "SUCCESS": 1, "FAILED": 0, "RETRYING": 1, "DEAD": 0, "CANCELED": 1,
    }  # fmt: skip
    assert own["oldest_ready_seconds"] is None
    for job in (running, retrying):
        api.post(f"/jobs/{job['job_id']}/cancel")


def test_a_purge_cancels_what_waits_in_one_queue(api: Api) -> None:
    queue, other = fresh("queue"), fresh("queue")
    waiting = [api.submit(queue=queue)["job_id"] for _ in range(3)]
    later = api.submit(queue=queue, scheduled_at="2100-01-01T00:00:00Z")["job_id"]
    retrying = api.submit(queue=queue, type="fail", retry_base_seconds=3600)["job_id"]
    running = api.submit(queue=queue, type="sleep", payload={"seconds": 600})["job_id"]
    elsewhere = api.submit(queue=other)["job_id"]
    api.in_status(running, "RUNNING")
    api.in_status(retrying, "RETRYING")
    answer = api.post("/queue/purge", queue=queue)
    assert (answer.status_code, answer.json()) == (200, {"message": "Queue purged successfully", "purged": 5})
    assert {api.job(job_id)["status"] for job_id in (*waiting, later, retrying)} == {"CANCELED"}
    assert api.job(running)["status"] == "RUNNING"
    assert api.job(elsewhere)["status"] == "PENDING"
    assert api.post("/queue/purge", queue=queue).json()["purged"] == 0
    api.post(f"/jobs/{running}/cancel")


def test_a_purge_of_everything(api: Api) -> None:
    jobs = [api.submit(queue=fresh("queue"))["job_id"] for _ in range(3)]
    answer = api.post("/queue/purge")
    assert answer.status_code == 200
    assert answer.json()["purged"] >= 3
    assert {api.job(job_id)["status"] for job_id in jobs} == {"CANCELED"}
    assert api.get("/queue/stats").json()["pending_jobs"] == 0


def test_a_purge_with_a_slip_touches_nothing(api: Api) -> None:
    job = api.submit(queue=fresh("queue"))
    refused(api.post("/queue/purge", queu=job["queue"]), "queu")
    refused(api.post("/queue/purge", queue=""), "queue")
    assert api.job(job["job_id"])["status"] == "PENDING"


def test_a_paused_queue_waits_until_it_is_resumed(api: Api) -> None:
    queue = fresh("queue")
    assert api.post(f"/queues/{queue}/pause").status_code == 200
    job = api.submit(queue=queue, type="echo")
    elsewhere = api.submit(queue=fresh("queue"), type="echo")
    assert api.ended(elsewhere["job_id"])["status"] == "SUCCESS"
    assert api.job(job["job_id"])["status"] == "PENDING"
    assert api.get("/queue/stats").json()["queues"][queue]["paused"] is True
    assert api.post(f"/queues/{queue}/pause").status_code == 200
    assert api.post(f"/queues/{queue}/resume").status_code == 200
    assert api.ended(job["job_id"])["status"] == "SUCCESS"
    assert api.get("/queue/stats").json()["queues"][queue]["paused"] is False


@pytest.mark.parametrize("name", ["x" * 201, "%00", "%FF", "%ED%A0%80"])
@pytest.mark.parametrize("call", ["pause", "resume"])
def test_names_that_no_queue_can_have(api: Api, name: str, call: str) -> None:
    before = api.get("/queue/stats").json()["queues"].keys()
    problem(api.post(f"/queues/{name}/{call}"), 422)
    assert api.get("/queue/stats").json()["queues"].keys() == before


def test_any_other_name_will_do(api: Api) -> None:
    for name in ("a b", "grüße", "a.b-c_d", "\U0001f600"):
        body = submission(queue=(queue := f"{name} {fresh('q')}"))
        assert api.post("/jobs", body).status_code == 201
        assert api.post(f"/queues/{queue}/pause").status_code == 200
        assert api.get("/queue/stats").json()["queues"][queue]["paused"] is True
        assert api.post(f"/queues/{queue}/resume").status_code == 200
