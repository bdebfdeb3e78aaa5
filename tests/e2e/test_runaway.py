"""Jobs that take their workers down, or never end: what they cost, and what is known of them afterwards."""

from typing import Any

import psutil

from tests.e2e.conftest import Api, Cluster
from tests.programs import Program

APP = "tests.e2e.runaway_handlers:app"


def worker(cluster: Cluster, name: str, *arguments: str, **environment: str) -> Program:
    return cluster.start("worker", "--app", APP, "--worker-id", name, *arguments, **environment)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def messages(job: dict[str, Any]) -> list[str]:
    return [error["message"] for error in job["errors"]]


def test_what_crashes_its_workers_is_poison_and_tells_how_and_a_thousand_others_are_done(
    cluster: Cluster, api: Api
) -> None:
    cluster.start("reaper", MAX_WORKER_DEATHS="2")
    worker(cluster, "w", "--processes", "2", MAX_WORKER_DEATHS="2")
    crashing = {
        how: api.submit("crashes", {"how": how}, max_retries=50) for how in ("segfault", "exit", "memory")
    }
    healthy = [{"type": "echo", "idempotency_key": str(n), "retry_base_seconds": 0} for n in range(1000)]
    answer = api.http.post("/jobs/batch", json={"jobs": healthy})
    assert answer.status_code == 201, answer.text

    jobs = {how: api.ended(job_id) for how, job_id in crashing.items()}

    said = {
        "segfault": "was ended by SIGSEGV",
        "exit": "exited with status 7",
        "memory": "was ended by SIGKILL",
    }
    for how, job in jobs.items():
        assert (job["status"], job["worker_deaths"]) == ("DEAD", 2)
        assert [error["kind"] for error in job["errors"]] == ["worker_lost", "poison"]
        # Those before may have been another's doing, which ran beside it.
        last = job["errors"][-1]
        assert last["message"].startswith(f"worker {last['worker_id']} {said[how]} (peak memory ")
        assert last["message"].endswith("2 workers died while running it")
        assert f"this is the end how={how}" in last["traceback"]
    assert "runaway_handlers.py" in jobs["segfault"]["errors"][-1]["traceback"]
    assert "in _end" in jobs["segfault"]["errors"][-1]["traceback"]
    peak = jobs["memory"]["error_message"].partition("(peak memory ")[2].split()[0]
    assert float(peak) >= 300
    for row in answer.json()["data"]:
        assert api.ended(row["job_id"])["status"] == "SUCCESS"


def test_what_never_yields_is_bounded_by_its_timeout_and_its_worker_goes_on(
    cluster: Cluster, api: Api
) -> None:
    cluster.start("reaper", WORKER_HEARTBEAT_TIMEOUT="12", MAX_WORKER_DEATHS="1")
    lone = worker(cluster, "lone", WORKER_HEARTBEAT_TIMEOUT="12", MAX_WORKER_DEATHS="1")
    job_id = api.submit("never_yields", {}, timeout_seconds=1)

    job = api.ended(job_id)

    assert (job["status"], job["worker_deaths"]) == ("DEAD", 1)
    [error] = job["errors"]
    assert error["kind"] == "poison"
    assert error["message"].startswith("worker lone blocked its event loop for ")
    assert "runaway_handlers.py:" in error["message"]
    assert "threading.Event().wait()" in error["traceback"]
    assert "never again" in error["traceback"]
    assert api.ended(api.submit("pid", {}))["result"] == lone.pid
    told = [line for line in lone.err.read_text().splitlines() if "nothing else happens on it" in line]
    assert len(told) == 1


def test_what_keeps_the_loop_for_less_is_told_of_once(cluster: Cluster, api: Api) -> None:
    lone = worker(cluster, "lone")
    job = api.ended(api.submit("keeps_loop", {"seconds": 7}))
    assert (job["status"], job["attempt"]) == ("SUCCESS", 1)
    told = [line for line in lone.err.read_text().splitlines() if "nothing else happens on it" in line]
    assert len(told) == 1
    assert "time.sleep(seconds)" in told[0]
    assert job["job_id"] in told[0]
