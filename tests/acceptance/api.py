"""The API as its callers see it: what these tests ask, and what every answer must look like."""

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from tests.acceptance.server import Document
from tests.programs import PATIENCE_SECONDS, until

PREFIX = "/api/v1"
ENDED = frozenset({"SUCCESS", "DEAD", "CANCELED"})
PROBLEM_MEMBERS = frozenset({"type", "title", "status", "detail", "errors", "trace_id"})
LEAKS = re.compile(
    r"Traceback|\bSELECT\b|\bINSERT\b|asyncpg|sqlalchemy|psycopg|pydantic|site-packages|\.py\b"
)
"""Words that only come from the inside of the server."""


def fresh(stem: str) -> str:
    """A name that no other test uses."""
    return f"{stem}-{secrets.token_hex(6)}"


def submission(**fields: Any) -> Document:
    """A body for ``POST /jobs``: of a type that no worker knows, unless told otherwise."""
    return {"type": "waits", "idempotency_key": fresh("key"), "retry_base_seconds": 0, **fields}


def problem(answer: httpx.Response, status: int) -> Document:
    """The problem that an answer must be."""
    assert answer.status_code == status, (
        str(answer.request.url)[:200],
        answer.status_code,
        answer.text[:2000],
    )
    assert answer.headers["content-type"] == "application/problem+json"
    document: Document = answer.json()
    assert document.keys() >= PROBLEM_MEMBERS
    assert document["status"] == status
    assert re.fullmatch(r"[0-9a-f]{32}", document["trace_id"])
    assert all(
        isinstance(document[member], str) and document[member] for member in ("type", "title", "detail")
    )
    assert len(answer.content) < 100_000, "a refusal does not send back what was too much"
    if "data" not in document:
        assert not LEAKS.search(answer.text), answer.text[:2000]
    return document


def refused(answer: httpx.Response, field: str, status: int = 422) -> Document:
    """The one error of a refused request: it names the field and tells what is allowed."""
    errors = [error for error in problem(answer, status)["errors"] if error["field"] == field]
    assert errors, answer.text[:2000]
    assert len(errors[0]["message"]) > 3
    assert field == "body" or field in answer.json()["detail"]
    found: Document = errors[0]
    return found


class Api:
    """One server's API."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=PATIENCE_SECONDS)

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self.http.get(PREFIX + path, params=parameters)

    def post(
        self, path: str, body: Any = None, /, *, headers: Mapping[str, str] | None = None, **parameters: Any
    ) -> httpx.Response:
        if body is None:
            return self.http.post(PREFIX + path, params=parameters, headers=headers)
        return self.http.post(PREFIX + path, json=body, params=parameters, headers=headers)

    def post_raw(
        self, path: str, body: bytes | Iterator[bytes], content_type: str | None = "application/json"
    ) -> httpx.Response:
        headers = {} if content_type is None else {"content-type": content_type}
        return self.http.post(PREFIX + path, content=body, headers=headers)

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(PREFIX + path)

    def submit(self, **fields: Any) -> Document:
        """The job as it was stored."""
        answer = self.post("/jobs", submission(**fields))
        assert answer.status_code == 201, answer.text
        job: Document = answer.json()["data"]
        return job

    def job(self, job_id: str, **parameters: Any) -> Document:
        answer = self.get(f"/jobs/{job_id}", **parameters)
        assert answer.status_code == 200, answer.text
        job: Document = answer.json()["data"]
        return job

    def jobs(self, **filters: Any) -> list[Document]:
        """The first page of the jobs that match."""
        answer = self.get("/jobs", **filters)
        assert answer.status_code == 200, answer.text
        found: list[Document] = answer.json()["data"]
        return found

    def pages(self, path: str, **parameters: Any) -> Iterator[list[Document]]:
        """Every page of a list, to its end."""
        cursor: dict[str, str] = {}
        while True:
            answer = self.get(path, **parameters, **cursor)
            assert answer.status_code == 200, answer.text
            document = answer.json()
            assert document.keys() == {"data", "next_cursor"}
            yield document["data"]
            if document["next_cursor"] is None:
                return
            cursor = {"cursor": document["next_cursor"]}

    def ended(self, job_id: str) -> Document:
        """The job, once it has ended."""

        def end() -> Document:
            job = self.job(job_id, wait=20)
            return job if job["status"] in ENDED else {}

        return until(end, f"job {job_id} to end")

    def in_status(self, job_id: str, status: str) -> Document:
        """The job, once it has come to this status."""

        def there() -> Document:
            job = self.job(job_id)
            return job if job["status"] == status else {}

        return until(there, f"job {job_id} to be {status}")

    def events(self, job_id: str) -> list[Document]:
        answer = self.get(f"/jobs/{job_id}/events")
        assert answer.status_code == 200, answer.text
        found: list[Document] = answer.json()["data"]
        return found

    def moves(self, job_id: str) -> list[str]:
        """What a job has gone through."""
        return [event["to"] for event in self.events(job_id)]

    def create_workflow(self, *jobs: Document, **fields: Any) -> str:
        answer = self.post("/workflows", {"name": fresh("flow"), "jobs": list(jobs), **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["workflow_id"])

    def workflow_status(self, workflow_id: str) -> Document:
        answer = self.get(f"/workflows/{workflow_id}/status")
        assert answer.status_code == 200, answer.text
        status: Document = answer.json()["data"]
        return status

    def workflow_ended(self, workflow_id: str, status: str) -> Document:
        """The status of a workflow, once it is this one."""

        def there() -> Document:
            found = self.workflow_status(workflow_id)
            return found if found["status"] == status else {}

        return until(there, f"workflow {workflow_id} to be {status}")

    def steps(self, workflow_id: str) -> dict[str, Document]:
        """The jobs of a workflow by key."""
        answer = self.get(f"/workflows/{workflow_id}")
        assert answer.status_code == 200, answer.text
        return {job["key"]: job for job in answer.json()["data"]["jobs"]}

    def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels as they stand in the text."""
        answer = self.http.get("/metrics")
        assert answer.status_code == 200
        lines = (line for line in answer.text.splitlines() if line and not line.startswith("#"))
        return {sample: float(value) for sample, value in (line.rsplit(" ", 1) for line in lines)}

    def close(self) -> None:
        self.http.close()


def step(key: str, job_type: str = "echo", /, *, after: tuple[str, ...] = (), **fields: Any) -> Document:
    """One job of a graph."""
    return {"key": key, "type": job_type, "depends_on": list(after), "retry_base_seconds": 0, **fields}


def seconds_between(earlier: str, later: str) -> float:
    """From one time in an answer to another."""
    return _seconds(later) - _seconds(earlier)


def _seconds(moment: str) -> float:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", moment), moment
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")
