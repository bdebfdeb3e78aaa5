"""Handlers that submit jobs: to the system that runs them, wherever they run themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Cluster, swift_environment

NAMES_ITS_DATABASE = """
from schedora import Schedora

app = Schedora(database_url={url!r}, database_direct_url={direct_url!r})

@app.job("submits")
async def submits() -> str:
    return str((await app.submit("echo")).job_id)

@app.job("submits_in_thread")
def submits_in_thread() -> str:
    return str(app.submit_sync("echo").job_id)

@app.job("submits_in_process", executor="process")
def submits_in_process() -> str:
    return str(app.submit_sync("echo").job_id)
"""


@pytest.fixture
def unset(embedded: Cluster) -> Cluster:
    """Whose data directory stands on the command line alone."""
    embedded.environment = swift_environment(HOME=str(embedded.directory / "home"))
    return embedded


def test_handlers_submit_to_the_database_of_their_worker(unset: Cluster) -> None:
    data_dir = str(unset.directory / "data")
    api = unset.api(
        unset.start("up", "--app", "tests.e2e.handlers:app", "--port", "0", "--data-dir", data_dir)
    )
    for job_type in ("submits", "submits_in_thread", "submits_in_process"):
        submitted = api.ended(api.submit(job_type, {}))["result"]
        assert api.ended(submitted)["result"] == {"from": job_type}
    assert not list(unset.directory.glob("home/**/postgres"))


def test_handlers_submit_to_the_memory_of_their_worker(unset: Cluster) -> None:
    api = unset.api(unset.start("up", "--app", "tests.e2e.handlers:app", "--port", "0", "--memory"))
    for job_type in ("submits", "submits_in_thread"):
        submitted = api.ended(api.submit(job_type, {}))["result"]
        assert api.ended(submitted)["result"] == {"from": job_type}
    assert not list(unset.directory.glob("home/**/postgres"))


def test_a_program_that_closes_nothing_ends_without_a_word(embedded: Cluster) -> None:
    program = "from schedora import Schedora; Schedora().submit_sync('echo')"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        env=embedded.environment, cwd=embedded.directory,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_handler_in_a_process_is_told_that_memory_is_out_of_its_reach(unset: Cluster) -> None:
    api = unset.api(unset.start("up", "--app", "tests.e2e.handlers:app", "--port", "0", "--memory"))
    job = api.ended(api.submit("submits_in_process", {}, max_retries=0))
    assert job["status"] == "DEAD"
    assert "can't reach a worker that keeps its jobs in memory" in job["error_message"]
    assert not list(unset.directory.glob("home/**/postgres"))


def test_handlers_submit_to_the_database_that_their_app_names(cluster: Cluster, tmp_path: Path) -> None:
    """Whose name stands in the app alone, not in the environment of its worker."""
    url = cluster.environment["DATABASE_URL"]
    direct_url = cluster.environment.get("DATABASE_DIRECT_URL")
    api = cluster.api(cluster.start("api", "--port", "0"))
    (tmp_path / "shop.py").write_text(NAMES_ITS_DATABASE.format(url=url, direct_url=direct_url))
    cluster.environment = swift_environment(HOME=str(tmp_path / "home"))
    cluster.start("worker", "--app", "shop:app")
    for job_type in ("submits", "submits_in_thread", "submits_in_process"):
        submitted = api.ended(api.submit(job_type, {}))["result"]
        assert api.ended(submitted)["status"] == "SUCCESS"
    assert not list(tmp_path.glob("home/**/postgres"))
