"""Traces of jobs and workflows, over a real server."""

from typing import Any

from tests.acceptance.api import Api, fresh, problem, step
from tests.acceptance.server import Document

NOBODY = "0198f000-0000-7000-8000-000000000000"
TRACE_ID, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def spans(answer: Document) -> list[Document]:
    """In the order of time."""
    [of_resource] = answer["data"]["resourceSpans"]
    found = [span for of_scope in of_resource["scopeSpans"] for span in of_scope["spans"]]
    return sorted(found, key=lambda span: int(span["startTimeUnixNano"]))


def trace(api: Api, path: str, **query: Any) -> Document:
    answer = api.get(f"{path}/trace", **query)
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def attribute(span: Document, key: str) -> Any:
    """Its value, whatever its kind; None where it has none."""
    found = [one["value"] for one in span["attributes"] if one["key"] == key]
    return next(iter(found[0].values())) if found else None


def test_the_trace_of_a_failed_job_goes_on_from_its_caller(api: Api) -> None:
    headers = {"traceparent": f"00-{TRACE_ID}-{CALLER}-01"}
    body = {"type": "fail", "payload": {"message": "no"}, "max_retries": 0, "idempotency_key": fresh("key")}
    answer = api.post("/jobs", body, headers=headers)
    job_id = answer.json()["data"]["job_id"]
    api.ended(job_id)
    told = trace(api, f"/jobs/{job_id}")
    assert told.keys() == {"data"}
    assert told["data"]["trace_id"] == TRACE_ID
    found = {span["name"].split()[0]: span for span in spans(told)}
    own = answer.headers["traceparent"].split("-")[2]
    assert {found[name]["parentSpanId"] for name in ("wait", "claim", "process")} == {own}
    assert found["settle"]["parentSpanId"] == found["process"]["spanId"]
    assert found["process"]["status"] == {"code": 2, "message": "no"}
    assert attribute(found["settle"], "schedora.outcome") == "DEAD"
    for span in found.values():
        assert span["traceId"] == TRACE_ID
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])


def test_a_waiting_job_is_told_as_it_waits(api: Api) -> None:
    job = api.submit(scheduled_at="2999-01-31T08:00:00Z")
    wait = spans(trace(api, f"/jobs/{job['job_id']}"))[-1]
    assert attribute(wait, "schedora.wait.reason") == "delay"
    assert attribute(wait, "schedora.span.open") is True


def test_a_workflow_is_traced_in_parts(api: Api) -> None:
    flow = api.create_workflow(
        step("a", "echo"), step("b", "echo", after=("a",)), step("c", "echo", after=("b",))
    )
    for one in api.steps(flow).values():
        api.ended(one["job_id"])
    path = f"/workflows/{flow}"
    whole = trace(api, path)
    assert whole["next_cursor"] is None
    assert whole["data"]["trace_id"] == flow.replace("-", "")
    attempts = {
        attribute(span, "schedora.key"): span for span in spans(whole) if span["name"].startswith("process")
    }
    assert list(attempts) == ["a", "b", "c"]
    assert [link["spanId"] for link in attempts["c"]["links"]] == [attempts["b"]["spanId"]]
    part = trace(api, path, limit=2)
    rest = trace(api, path, limit=2, cursor=part["next_cursor"])
    assert {attribute(span, "schedora.key") for span in spans(rest)} == {None, "c"}
    assert rest["next_cursor"] is None


def test_what_is_not_there(api: Api) -> None:
    problem(api.get(f"/jobs/{NOBODY}/trace"), 404)
    problem(api.get(f"/workflows/{NOBODY}/trace"), 404)
    problem(api.get(f"/workflows/{NOBODY}/trace", limit=0), 422)
