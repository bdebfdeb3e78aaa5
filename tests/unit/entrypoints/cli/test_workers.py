from uuid import uuid4

import pytest

from schedora import SchedoraClient
from tests.unit.entrypoints.cli.conftest import Run, refused
from tests.unit.entrypoints.sdk.serving import WORKER_ID


@pytest.fixture
def worker_id(server_url: str) -> str:
    """A worker of another language, as it were."""
    name = f"w-{uuid4()}"
    with SchedoraClient(server_url) as client:
        client.register_worker(
            name, hostname="a-host", pid=42, version="7", queues=["a", "b"], max_concurrent_jobs=3
        )
    return name


def test_list(run: Run, worker_id: str) -> None:
    answer = run("workers", "list")
    assert answer.status == 0
    rows = {line.split()[0]: line.split() for line in answer.out.splitlines()}
    assert answer.out.splitlines()[0].split()[:4] == ["WORKER", "ID", "STATUS", "JOBS"]
    assert rows[worker_id][1:8] == ["ACTIVE", "0/3", "a,", "b", "a-host", "42", "7"]
    assert rows[WORKER_ID][1:4] == ["ACTIVE", "0/10", "default,"]


def test_list_as_json_and_by_status(run: Run, worker_id: str) -> None:
    found = run("workers", "list", "--status", "active", "--json").document
    assert found["total"] == len(found["workers"])
    assert {WORKER_ID, worker_id} <= {worker["worker_id"] for worker in found["workers"]}
    assert run("workers", "list", "--status", "STALE", "--json").document == {"workers": [], "total": 0}
    refused(run("workers", "list", "--status", "lazy"), 2, "--status", "draining")


def test_drain(run: Run, worker_id: str) -> None:
    assert run("workers", "drain", worker_id).out == f"{worker_id}  DRAINING: 0 jobs to finish\n"
    assert run("workers", "drain", worker_id, "--json").document["status"] == "DRAINING"


def test_drain_a_worker_that_is_not_there(run: Run) -> None:
    refused(run("workers", "drain", "nobody"), 1, "nobody")
    refused(run("workers", "drain", ".."), 2, "can't be the name of a worker")
    refused(run("workers", "drain"), 2, "WORKER_ID")
