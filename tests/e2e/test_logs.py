"""What real processes say, and what they keep to themselves."""

import json
from typing import Any

from schedora.application.telemetry.repetition import TOLD_MAX
from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without
from tests.programs import Program, until

SECRET = "open-sesame-4711"


def said(program: Program) -> list[dict[str, Any]]:
    """All that it has said: each line is an object."""
    lines = program.err.read_text().splitlines(keepends=True)
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    assert all({"timestamp", "level", "message"} <= line.keys() for line in told)
    return told


def kept(api: Api, job_id: str) -> list[dict[str, Any]]:
    """The runs of its log, once there are any and the job has ended."""

    def runs() -> list[dict[str, Any]]:
        told = api.http.get(f"/jobs/{job_id}/logs").json()["data"]["runs"]
        return list(told)

    api.ended(job_id)
    return until(runs, f"the log of {job_id}")


def _stop(cluster: Cluster) -> None:
    for program in cluster.programs:
        program.stop()


@with_redis_and_at_night_without
def test_no_secret_is_told_by_whomever_and_each_line_is_an_object(cluster: Cluster, api: Api) -> None:
    worker = cluster.start(
        "worker", "--app", "tests.e2e.log_handlers:app", "--worker-id", "talker", LOG_LEVEL="DEBUG"
    )
    payload = {"url": str(api.http.base_url).rstrip("/"), "secret": SECRET}
    api.http.headers["authorization"] = f"Bearer {SECRET}"
    api.http.headers["cookie"] = f"session={SECRET}"
    jobs = {kind: api.submit(kind, payload) for kind in ("tells", "tells_in_process")}
    for body in (
        {"type": "leaks", "payload": {"secret": SECRET}, "max_retries": 0},
        {"type": SECRET, "priority": SECRET},
    ):
        api.http.post("/jobs", json={"idempotency_key": f"key-{SECRET}", **body})
    api.http.post("/jobs", content=f'{{"payload": "{SECRET}"')
    api.http.get("/jobs", params={"token": SECRET})
    odd = api.submit("tells", {"url": 7, "secret": [SECRET]})
    api.ended(odd)

    for kind, job_id in jobs.items():
        [run] = kept(api, job_id)
        messages = [line["message"] for line in run["lines"]]
        assert messages == [
            "signed in", "at postgresql://ada:***@db, token=***", "structured", "cookie: ***",
            messages[4], "in a thread", "not sent",
        ]  # fmt: skip
        assert messages[4].startswith("HTTP Request: GET http")
        assert "token=***" in messages[4]
        assert "RuntimeError: refused: password=***" in run["lines"][-1]["exception"]
        written = [
            line for line in said(worker) if line.get("job_id") == job_id and line["message"] in messages
        ]
        assert [line["message"] for line in written] == messages
        for line in written:
            assert (line["job_type"], line["worker_id"], line["attempt"]) == (kind, "talker", 1)
            assert line["trace_id"] == api.http.get(f"/jobs/{job_id}").json()["data"]["trace_id"]

    def broken() -> list[dict[str, Any]]:
        return [line for line in said(worker) if "nobody catches this" in line.get("exception", "")]

    until(lambda: len(broken()) == 2, "what nobody catches")
    until(lambda: [line for line in said(worker) if line.get("kind") == "RuntimeError"], "the failure")
    assert "while it is imported" in [line["message"] for line in said(worker)]
    _stop(cluster)
    for program in cluster.programs:
        assert SECRET not in program.err.read_text() + program.out.read_text()
        assert said(program)


def test_a_storm_of_failures_is_some_lines_and_a_count(cluster: Cluster, api: Api) -> None:
    jobs = [{"type": "fails_alike", "idempotency_key": f"k{n}", "max_retries": 0} for n in range(200)]
    assert api.http.post("/jobs/batch", json={"jobs": jobs}).status_code == 201
    worker = cluster.start("worker", "--app", "tests.e2e.log_handlers:app")

    def dead() -> bool:
        return bool(api.http.get("/queue/stats").json()["dlq_jobs"] == len(jobs))

    until(dead, "all to fail")
    _stop(cluster)
    told = [line for line in said(worker) if line["logger"] == "schedora.attempts"]
    assert sum(line.get("repeated", 1) for line in told) == len(jobs)
    assert len(told) < 5 * TOLD_MAX
    assert any(line["message"].endswith("times: job failed for good") for line in told)


def test_what_was_logged_outlives_its_worker_and_payloads_are_told_when_asked_for(
    cluster: Cluster, api: Api
) -> None:
    cluster.start("reaper")
    job_id = api.submit("dies", {}, max_retries=1, retry_base_seconds=0)
    first = cluster.start("worker", "--app", "tests.e2e.log_handlers:app", "--worker-id", "first")
    first.ended()
    second = cluster.start(
        "worker",
        "--app",
        "tests.e2e.log_handlers:app",
        "--worker-id",
        "second",
        LOG_PAYLOADS="true",
        LOG_LEVEL="debug",
    )
    api.ended(job_id)
    until(lambda: len(kept(api, job_id)) == 2, "the second run's log")
    assert [(run["worker_id"], run["lines"][0]["message"]) for run in kept(api, job_id)] == [
        ("first", "before the end"),
        ("second", "before the end"),
    ]
    [line] = until(
        lambda: [line for line in said(second) if line["message"] == "job succeeded"],
        "the line of the attempt",
    )
    assert line["payload"] == {}
