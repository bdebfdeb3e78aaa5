"""Why a job does not run, asked while a worker freezes, is given up and replaced."""

import re
import signal
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without
from tests.programs import until


def told(api: Api, job_id: str, code: str) -> dict[str, Any]:
    """The reason of this code, once it is the first."""

    def first() -> dict[str, Any]:
        answer = api.http.get(f"/jobs/{job_id}/why")
        assert answer.status_code == 200, answer.text
        reason: dict[str, Any] = answer.json()["data"]["reasons"][0]
        return reason if reason["code"] == code else {}

    return until(first, f"job {job_id} to tell {code}")


@with_redis_and_at_night_without
def test_a_worker_freezes_and_another_takes_over(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    url = str(api.http.base_url).removesuffix("/api/v1/")
    held = api.submit("first_hangs", {"directory": str(tmp_path)})
    assert told(api, held, "no_workers")["message"] == "no worker is live"
    frozen = cluster.worker("frozen", "--concurrency", "1")
    until((tmp_path / "began-1").exists, "the first attempt")
    assert told(api, held, "running")["worker_ids"] == ["frozen"]
    waiting = api.submit("echo", {"n": 1})
    taken = told(api, waiting, "slots_taken")
    assert taken["message"] == "the slot of the worker that could run it is taken: frozen"

    frozen.send(signal.SIGSTOP)
    assert told(api, held, "holder_silent")["worker_ids"] == ["frozen"]
    said = cluster.run("why", held, SCHEDORA_URL=url)
    assert (said.returncode, said.stderr) == (0, "")
    assert re.match(
        r"RUNNING: held by frozen, which has been silent for [\d.]+ s: it is given up at 3 s", said.stdout
    )
    assert told(api, waiting, "workers_silent")["worker_ids"] == ["frozen"]

    cluster.start("reaper")
    assert told(api, held, "no_workers")
    again = api.http.get(f"/jobs/{held}/why").json()["data"]
    assert (again["status"], [reason["code"] for reason in again["reasons"]]) == (
        "RETRYING", ["no_workers", "failed_before"],
    )  # fmt: skip
    assert again["reasons"][1]["error_kind"] == "worker_lost"
    cluster.worker("other")
    for job_id in (held, waiting):
        api.ended(job_id)
        assert told(api, job_id, "succeeded")["worker_ids"] == ["other"]
