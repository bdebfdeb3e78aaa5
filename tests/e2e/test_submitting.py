"""Handlers that submit jobs: to the system that runs them, wherever they run themselves."""

import subprocess
import sys

import pytest

from tests.e2e.conftest import Cluster, bare_environment


@pytest.fixture
def unset(embedded: Cluster) -> Cluster:
    """Whose data directory stands on the command line alone."""
    embedded.environment = bare_environment(HOME=str(embedded.directory / "home"))
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
