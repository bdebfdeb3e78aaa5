"""What the server says to those who run it, and how a request is followed through it."""

from pathlib import Path

import pytest

from tests.acceptance.api import Api, fresh, problem, step, submission
from tests.acceptance.server import Server, running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_every_line_of_the_log_is_an_object(server: Server, api: Api) -> None:
    api.http.get("/nowhere")
    lines = server.log()
    assert lines
    assert all(
        isinstance(line[member], str) for line in lines for member in ("timestamp", "level", "message")
    )


def test_a_request_is_logged_with_its_time_and_its_ids(server: Server, api: Api) -> None:
    correlation_id = fresh("correlation")
    answer = api.http.get(
        "/api/v1/workers", headers={"x-correlation-id": correlation_id, "traceparent": PARENT}
    )
    assert answer.headers["x-correlation-id"] == correlation_id
    line = server.logged(correlation_id=correlation_id)
    assert line["duration_ms"] > 0
    assert line["trace_id"] == TRACE


def test_a_handlers_words_carry_the_ids_of_its_job(server: Server, api: Api) -> None:
    words = fresh("words")
    flow = api.create_workflow(step("says", "says", payload={"words": words}))
    job = api.ended(api.steps(flow)["says"]["job_id"])
    line = server.logged(message=words)
    assert {name: line.get(name) for name in ("job_id", "worker_id", "workflow_id", "trace_id", "level")} == {
        **{name: job[name] for name in ("job_id", "worker_id", "workflow_id", "trace_id")}, "level": "info",
    }  # fmt: skip


def test_an_attempt_is_logged_with_its_duration(server: Server, api: Api) -> None:
    job = api.ended(api.submit(type="sleep", payload={"seconds": 0.05})["job_id"])
    line = server.logged(message="job succeeded", job_id=job["job_id"])
    assert line["duration_ms"] > 40
    assert (line["trace_id"], line["worker_id"]) == (job["trace_id"], job["worker_id"])


def test_a_failed_attempt_is_logged_with_its_reason(server: Server, api: Api) -> None:
    message = fresh("broken")
    job = api.ended(
        api.submit(type="stumbles", payload={"times": 0, "message": message}, max_retries=1)["job_id"]
    )
    retried = server.logged(level="warning", job_id=job["job_id"])
    dead = server.logged(level="error", job_id=job["job_id"])
    for line, attempt in ((retried, 1), (dead, 2)):
        assert (line["kind"], line["error"], line["attempt"]) == ("RuntimeError", message, attempt)
        assert line["duration_ms"] > 0


def test_people_get_lines_for_people(acceptance_database: str, tmp_path: Path) -> None:
    with running(tmp_path, "api", DATABASE_URL=acceptance_database, LOG_FORMAT="console") as server:
        api = Api(server.url)
        correlation_id = fresh("correlation")
        api.http.get("/health", headers={"x-correlation-id": correlation_id})
        api.http.get("/nowhere", headers={"x-correlation-id": correlation_id})
        api.close()
    text = server.program.err.read_text()
    assert correlation_id in text
    assert not any(line.startswith("{") for line in text.splitlines())


def test_a_job_belongs_to_its_callers_trace(api: Api) -> None:
    answer = api.post("/jobs", submission(type="echo"), headers={"traceparent": PARENT})
    job = answer.json()["data"]
    assert job["trace_id"] == TRACE
    assert api.ended(job["job_id"])["trace_id"] == TRACE
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "01")
    assert span_id != "00f067aa0ba902b7"


def test_jobs_of_a_batch_and_of_a_workflow_belong_to_their_callers_trace(api: Api) -> None:
    queue = fresh("queue")
    api.post("/jobs/batch", {"jobs": [submission(queue=queue)] * 2}, headers={"traceparent": PARENT})
    body = {"name": fresh("flow"), "jobs": [step("a", "waits", queue=queue)]}
    api.post("/workflows", body, headers={"traceparent": PARENT})
    assert [job["trace_id"] for job in api.jobs(queue=queue)] == [TRACE] * 2


@pytest.mark.parametrize(
    "traceparent",
    [
        None, "", "x", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01", f"00-{TRACE}-00f067aa0ba902b7",
        f"{PARENT}-more", PARENT * 1000,
    ],
)  # fmt: skip
def test_without_a_caller_that_traces_the_trace_is_new(api: Api, traceparent: str | None) -> None:
    headers = {} if traceparent is None else {"traceparent": traceparent}
    made = [api.post("/jobs", submission(), headers=headers).json()["data"]["trace_id"] for _ in range(2)]
    assert made[0] != made[1]
    assert TRACE not in made
    assert all(len(trace_id) == 32 and int(trace_id, 16) for trace_id in made)


def test_later_versions_of_traceparent_are_understood(api: Api) -> None:
    headers = {"traceparent": f"cc-{TRACE}-00f067aa0ba902b7-01-more"}
    assert api.post("/jobs", submission(), headers=headers).json()["data"]["trace_id"] == TRACE


def test_a_problem_names_the_trace_of_its_request(api: Api) -> None:
    answer = api.http.get("/nowhere", headers={"traceparent": PARENT})
    assert problem(answer, 404)["trace_id"] == TRACE


@pytest.mark.parametrize("correlation_id", ["x" * 10_000, "a\tb", "gr\xfc\xdfe", '"}{'])
def test_strange_correlation_ids_do_no_harm(server: Server, api: Api, correlation_id: str) -> None:
    answer = api.http.get("/health", headers={b"x-correlation-id": correlation_id.encode("latin-1")})
    assert answer.status_code == 200
    assert answer.headers["x-correlation-id"]
    assert len(answer.headers["x-correlation-id"]) <= 1000
    assert server.log()
