"""Everything in one process, on a PostgreSQL of its own."""

import signal
import socket
from pathlib import Path

from tests.e2e.conftest import Cluster


def test_everything_works_with_nothing_configured(embedded: Cluster) -> None:
    api = embedded.api(embedded.start("up", "--port", "0"))
    job = api.ended(api.submit("echo", {"hello": "world"}))
    assert (job["status"], job["result"], job["attempt"]) == ("SUCCESS", {"hello": "world"}, 1)
    health = api.http.get("/health").json()["data"]
    assert (health["status"], health["workers"]) == ("healthy", {"total": 1, "active": 1, "stale": 0})
    assert api.metric("jobs_succeeded_total") == 1


def test_a_killed_process_goes_on_where_it_was(embedded: Cluster) -> None:
    first = embedded.start("up", "--port", "0")
    api = embedded.api(first)
    done = api.ended(api.submit("echo", {"n": 1}))
    running = api.submit("sleep", {"seconds": 2})
    delayed = api.submit("echo", {"n": 2}, scheduled_at="2100-01-01T00:00:00Z")
    first.send(signal.SIGKILL)
    first.ended()

    api = embedded.api(embedded.start("up", "--port", "0"))

    assert api.job(done["job_id"]) == done
    assert api.job(delayed)["status"] == "PENDING"
    assert api.ended(running)["status"] == "SUCCESS"


def test_memory_needs_no_database(embedded: Cluster) -> None:
    api = embedded.api(embedded.start("up", "--port", "0", "--memory"))
    assert api.ended(api.submit("echo", {}))["status"] == "SUCCESS"
    assert not list(Path(embedded.environment["SCHEDORA_DATA_DIR"]).iterdir())


def test_port_in_use_is_one_line(embedded: Cluster) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = embedded.run("up", "--port", str(port))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in ended.stderr


def test_unreachable_database_is_one_line(embedded: Cluster) -> None:
    ended = embedded.run(
        "api", "--port", "0", DATABASE_URL="postgresql://u:secret@127.0.0.1:1/x", DATABASE_START_TIMEOUT="0"
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "127.0.0.1:1" in ended.stderr
    assert "secret" not in ended.stderr


def test_wrong_setting_is_one_line_and_status_2(embedded: Cluster) -> None:
    ended = embedded.run("api", WORKER_HEARTBEAT_INTERVAL="soon")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "WORKER_HEARTBEAT_INTERVAL" in ended.stderr
    assert "soon" in ended.stderr
