"""Stopping is asked for: what runs is finished or released, and nothing is used up."""

import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without
from tests.programs import until
from tests.tiers import sampled


@with_redis_and_at_night_without
def test_drained_worker_releases_what_does_not_finish(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    worker = cluster.worker("first")
    job_id = api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the first attempt")

    worker.send(signal.SIGTERM)

    assert worker.ended() == 0
    job = api.job(job_id)
    assert (job["status"], job["attempt"], job["errors"]) == ("PENDING", 0, [])
    assert api.workers() == {"first": "STOPPED"}
    cluster.worker("second")
    assert api.ended(job_id)["attempt"] == 1


def test_second_signal_exits_at_once(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    worker = cluster.start("worker", "--app", "tests.e2e.handlers:app", WORKER_SHUTDOWN_TIMEOUT="600")
    api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the first attempt")

    worker.send(signal.SIGTERM)
    until(lambda: '"stopping"' in worker.err.read_text(), "the worker to begin to drain")

    def has_ended() -> bool:
        worker.send(signal.SIGTERM)
        return worker.process.poll() is not None

    until(has_ended, "the worker to exit")

    assert worker.ended() == 130


@with_redis_and_at_night_without
def test_canceled_process_job_is_really_dead(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.worker("w")
    job_id = api.submit("burns", {"directory": str(tmp_path)})
    until((tmp_path / "burning").exists, "the handler to burn")
    child = int((tmp_path / "burning").read_text().split()[0])

    answer = api.http.post(f"/jobs/{job_id}/cancel")

    assert answer.status_code == 200
    assert api.job(job_id)["status"] == "CANCELED"
    until(lambda: not _runs(child), "the child to be gone")


def test_timed_out_process_job_is_really_dead(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.worker("w")
    job_id = api.submit("burns", {"directory": str(tmp_path)}, timeout_seconds=10, max_retries=0)
    until((tmp_path / "burning").exists, "the handler to burn")
    child = int((tmp_path / "burning").read_text().split()[0])

    job = api.ended(job_id)

    assert (job["status"], job["errors"][0]["kind"]) == ("DEAD", "timeout")
    until(lambda: not _runs(child), "the child to be gone")


@with_redis_and_at_night_without
def test_drain_by_request_takes_no_new_jobs(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    cluster.worker("w")
    running = api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the first attempt")

    assert api.http.post("/workers/w/drain").status_code == 200
    waiting = api.submit("echo", {})
    (tmp_path / "release").touch()

    assert api.ended(running)["status"] == "SUCCESS"
    assert api.job(waiting)["status"] == "PENDING"
    assert api.workers() == {"w": "DRAINING"}


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the second where it ends while it is read
        return False


@pytest.mark.parametrize("number", sampled([signal.SIGINT, signal.SIGTERM], 2))
def test_up_stops_on_a_signal(embedded: Cluster, number: signal.Signals) -> None:
    program = embedded.start("up", "--port", "0")
    program.url()
    program.send(number)
    assert program.ended() == 0
