"""A job's trace while it runs, after its worker died, and at its end, as the API and the command tell it."""

import re
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without
from tests.programs import until


def spans_of(api: Api, job_id: str) -> list[dict[str, Any]]:
    answer = api.http.get(f"/jobs/{job_id}/trace")
    assert answer.status_code == 200, answer.text
    [of_resource] = answer.json()["data"]["resourceSpans"]
    spans: list[dict[str, Any]] = of_resource["scopeSpans"][0]["spans"]
    return spans


def attribute(span: dict[str, Any], key: str) -> Any:
    return next((one["value"] for one in span["attributes"] if one["key"] == key), None)


def attempts(api: Api, job_id: str) -> list[dict[str, Any]]:
    return [span for span in spans_of(api, job_id) if span["name"] == "process default"]


@with_redis_and_at_night_without
def test_a_worker_dies_and_another_takes_over(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    url = str(api.http.base_url).removesuffix("/api/v1/")
    job_id = api.submit("first_hangs", {"directory": str(tmp_path)}, retry_base_seconds=0)
    until(lambda: spans_of(api, job_id)[0]["name"] == "POST /api/v1/jobs", "the request's own span")
    doomed = cluster.worker("doomed", "--concurrency", "1")
    until((tmp_path / "began-1").exists, "the first attempt")
    until(lambda: attempts(api, job_id), "the attempt to be told")
    [running] = attempts(api, job_id)
    assert attribute(running, "schedora.span.open") == {"boolValue": True}

    doomed.process.kill()
    cluster.start("reaper")
    until(lambda: "status" in attempts(api, job_id)[0], "the attempt to be given up")
    cluster.worker("other")
    api.ended(job_id)
    first, second = attempts(api, job_id)
    assert first["spanId"] == running["spanId"]
    assert attribute(first, "error.type") == {"stringValue": "worker_lost"}
    assert attribute(second, "schedora.worker_id") == {"stringValue": "other"}
    assert "status" not in second
    waits = [
        attribute(span, "schedora.wait.reason")["stringValue"]
        for span in spans_of(api, job_id)
        if span["name"] == "wait default"
    ]
    assert waits[0] == "queue"

    told = cluster.run("trace", job_id, SCHEDORA_URL=url)
    assert (told.returncode, told.stderr.replace("waits are drawn shorter than they were\n", "")) == (0, "")
    assert re.search(r"^├─ ✗ attempt 1 → RETRYING on doomed .*━", told.stdout, re.MULTILINE)
    assert re.search(r"✗ worker_lost: ", told.stdout)
    assert re.search(r"^└─ attempt 2 → SUCCESS on other .*━", told.stdout, re.MULTILINE)
