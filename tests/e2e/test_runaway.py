"""Jobs that take their workers down, or never end: what they cost, and what is known of them afterwards."""

import signal
from pathlib import Path

import psutil

from tests.e2e.conftest import Api, Cluster
from tests.programs import Program, until

APP = "tests.e2e.runaway_handlers:app"


def worker(cluster: Cluster, name: str, *arguments: str, **environment: str) -> Program:
    return cluster.start("worker", "--app", APP, "--worker-id", name, *arguments, **environment)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def succeeded(api: Api, job_type: str) -> set[str]:
    found: set[str] = set()
    more: dict[str, str] = {}
    while True:
        page = api.http.get(
            "/jobs", params={"type": job_type, "status": "SUCCESS", "limit": 500, **more}
        ).json()
        found |= {job["job_id"] for job in page["data"]}
        if page["next_cursor"] is None:
            return found
        more = {"cursor": page["next_cursor"]}


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
    wanted = {row["job_id"] for row in answer.json()["data"]}
    assert len(wanted) == 1000
    until(lambda: succeeded(api, "echo") >= wanted, "all others to succeed")


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


def test_a_worker_starts_anew_before_stuck_threads_hold_all_of_it_and_is_watched_as_before(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    cluster.start("reaper", MAX_WORKER_DEATHS="1")
    watched = worker(cluster, "w", "--processes", "1", "--concurrency", "2", MAX_WORKER_DEATHS="1")
    stuck = api.submit("sits", {"directory": str(tmp_path)}, timeout_seconds=1, max_retries=0)
    sitting = tmp_path / f"sits-{stuck}"
    until(sitting.exists, "the thread to sit")
    before = int(sitting.read_text())
    assert api.ended(stuck)["errors"][0]["kind"] == "timeout"
    until(lambda: "starting the program anew" in watched.err.read_text(), "the worker to have had enough")

    assert api.ended(api.submit("pid", {}))["result"] == before != watched.pid

    listed = api.http.get("/workers").json()["workers"]
    assert [(one["status"], one["pid"]) for one in listed] == [("ACTIVE", before), ("STOPPED", before)]
    assert listed[0]["stuck_threads"] == 0
    dead = api.ended(api.submit("crashes", {"how": "segfault"}))
    assert dead["errors"][0]["kind"] == "poison"
    assert dead["error_message"].startswith("worker w was ended by SIGSEGV (peak memory ")
    assert "runaway_handlers.py" in dead["errors"][0]["traceback"]


def test_what_a_killed_worker_ran_in_processes_dies_with_it_even_where_no_python_runs(
    cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    doomed = worker(cluster, "doomed", "--max-jobs-per-child", "2")
    first, second, third = (api.ended(api.submit("pid_in_process", {}))["result"] for _ in range(3))
    assert (first == second, second == third) == (True, False)
    assert gone(first)
    api.submit("holds_interpreter", {"directory": str(tmp_path)})
    until((tmp_path / "holds").exists, "the handler to hold the interpreter")
    child, beside = map(int, (tmp_path / "holds").read_text().split())
    assert child == third
    assert [gone(child), gone(beside)] == [False, False]

    doomed.send(signal.SIGKILL)

    until(lambda: gone(child) and gone(beside), "the child, and what it started, to be gone")


def test_a_process_that_crashes_costs_an_attempt_and_tells_where(cluster: Cluster, api: Api) -> None:
    w = worker(cluster, "w")
    job = api.ended(api.submit("crashes_in_process", {"how": "segfault"}, max_retries=1))
    assert (job["status"], job["worker_deaths"]) == ("DEAD", 0)
    assert [error["kind"] for error in job["errors"]] == ["process_died"] * 2
    assert "was ended by signal SIGSEGV" in job["error_message"]
    assert "in _end" in job["errors"][-1]["traceback"]
    until(  # written soon after the end
        lambda: "this is the end" in api.http.get(f"/jobs/{job['job_id']}/logs").text, "the log to be kept"
    )
    assert w.process.poll() is None


def test_workers_drain_when_who_watches_them_is_killed(cluster: Cluster, api: Api) -> None:
    watcher = worker(cluster, "w", "--processes", "1")
    pid = api.ended(api.submit("pid", {}))["result"]
    watcher.send(signal.SIGKILL)
    until(lambda: gone(pid), "the worker to end, too")
    assert api.workers() == {"w": "STOPPED"}
