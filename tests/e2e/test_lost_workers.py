"""A killed worker costs nothing, a frozen one changes nothing."""

import signal
from pathlib import Path

from tests.e2e.conftest import Api, Cluster, with_and_without_redis
from tests.programs import until


@with_and_without_redis
def test_job_of_a_killed_worker_runs_on_another(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.start("reaper")
    doomed = cluster.worker("doomed")
    job_id = api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the first attempt")
    cluster.worker("other")
    doomed.send(signal.SIGKILL)

    job = api.ended(job_id)

    assert (job["status"], job["result"], job["worker_id"]) == ("SUCCESS", "token 2", "other")
    assert (job["attempt"], job["worker_deaths"], job["lease_token"]) == (2, 1, 2)
    assert [(error["kind"], error["worker_id"]) for error in job["errors"]] == [("worker_lost", "doomed")]
    assert api.workers() == {"doomed": "STALE", "other": "ACTIVE"}


@with_and_without_redis
def test_late_result_of_a_frozen_worker_changes_nothing(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.start("reaper")
    frozen = cluster.worker("frozen")
    job_id = api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the first attempt")
    frozen.send(signal.SIGSTOP)
    cluster.worker("other")
    ended = api.ended(job_id)
    assert (ended["status"], ended["result"]) == ("SUCCESS", "token 2")
    events = api.http.get(f"/jobs/{job_id}/events").json()["data"]

    (tmp_path / "release").touch()  # its first attempt now returns at once
    frozen.send(signal.SIGCONT)
    until(lambda: api.workers().get("frozen") == "ACTIVE", "the frozen worker to register again")
    proof = api.submit("echo", {"still": "here"})
    assert api.ended(proof)["status"] == "SUCCESS"

    assert api.job(job_id) == ended
    assert api.http.get(f"/jobs/{job_id}/events").json()["data"] == events


def test_blocked_event_loop_does_not_make_a_worker_look_dead(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    cluster.start("reaper")
    cluster.worker("blocked")
    job_id = api.submit("blocks_loop", {"directory": str(tmp_path), "seconds": 6})

    job = api.ended(job_id)

    assert (job["status"], job["attempt"], job["worker_deaths"]) == ("SUCCESS", 1, 0)


@with_and_without_redis
def test_job_that_kills_its_workers_is_poison(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.start("reaper")
    cluster.worker("many", "--processes", "2")
    job_id = api.submit("dies", {"directory": str(tmp_path)}, max_retries=50)
    healthy = [api.submit("echo", {"n": n}) for n in range(20)]

    job = api.ended(job_id)

    assert (job["status"], job["worker_deaths"]) == ("DEAD", 3)
    assert [error["kind"] for error in job["errors"]] == ["worker_lost", "worker_lost", "poison"]
    assert {api.ended(each)["status"] for each in healthy} == {"SUCCESS"}
    assert [dead["job_id"] for dead in api.http.get("/dlq").json()["data"]] == [job_id]
