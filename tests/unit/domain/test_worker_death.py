"""How a worker ended, in words, and what is kept of that with its jobs."""

import pytest

from schedora.domain.worker_death import WorkerDeath, ended_how, in_bytes, peak_memory
from tests.builders import a_job_id


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (999_500, "1 MB"), (52_300_000, "52 MB"), (1_940_000_000, "1.9 GB"),
     (12_345_000_000_000, "12345.0 GB")],
)  # fmt: skip
def test_bytes_for_people(count: int, said: str) -> None:
    assert in_bytes(count) == said


@pytest.mark.parametrize(
    ("returncode", "name", "said"),
    [
        (7, None, "exited with status 7"),
        (0, None, "exited with status 0"),
        (-9, "SIGKILL", "was ended by SIGKILL"),
        (-37, None, "was ended by signal 37"),
    ],
)
def test_a_wait_status_in_words(returncode: int, name: str | None, said: str) -> None:
    assert ended_how(returncode, name) == said


def test_the_memory_is_told_where_it_is_known() -> None:
    assert peak_memory(1_900_000_000) == " (peak memory 1.9 GB)"
    assert peak_memory(None) == ""


def test_evidence_is_the_stack_and_the_lines_of_that_job() -> None:
    job_id = a_job_id()
    death = WorkerDeath(how="", stack="the stack\n", lines={job_id: ("one", "two"), a_job_id(): ("others",)})
    assert death.evidence(job_id) == "the stack\n\nThe last lines of its log:\none\ntwo"
    assert death.evidence(a_job_id()) == "the stack"
    assert WorkerDeath(how="").evidence(job_id) is None
