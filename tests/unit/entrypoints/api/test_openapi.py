import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from schedora.entrypoints.api import examples
from schedora.entrypoints.api.openapi import BODIES
from schedora.entrypoints.api.schemas.envelopes import Data, Page
from schedora.entrypoints.api.schemas.health import DeepHealthView, HealthView, ProbeView
from schedora.entrypoints.api.schemas.job_logs import JobLogView
from schedora.entrypoints.api.schemas.jobs import BatchRowView, CanceledView, EventView, JobView
from schedora.entrypoints.api.schemas.problem import ProblemView
from schedora.entrypoints.api.schemas.queues import (
    PurgedView,
    QueueRetentionView,
    QueueView,
    RequeuedView,
    StatsView,
)
from schedora.entrypoints.api.schemas.traces import TracePage, TraceView
from schedora.entrypoints.api.schemas.why import WhyView
from schedora.entrypoints.api.schemas.workers import WorkerListView, WorkerView
from schedora.entrypoints.api.schemas.workflows import (
    WorkflowCreatedView,
    WorkflowDetailView,
    WorkflowStatusView,
    WorkflowView,
)
from tests.unit.entrypoints.api.conftest import Api, Bench, submit

ENDPOINTS = {
    "POST /jobs", "POST /jobs/batch", "GET /jobs", "GET /jobs/{job_id}", "POST /jobs/{job_id}/cancel",
    "POST /jobs/{job_id}/retry", "GET /jobs/{job_id}/events", "GET /jobs/{job_id}/why", "GET /jobs/{job_id}/logs", "GET /jobs/{job_id}/trace",
    "GET /workflows/{workflow_id}/trace", "GET /events",
    "GET /jobs/{job_id}/events/stream", "GET /workflows/{workflow_id}/events/stream", "GET /dlq", "POST /dlq/requeue",
    "POST /dlq/{job_id}/requeue", "DELETE /dlq/{job_id}", "POST /workflows", "GET /workflows",
    "GET /workflows/{workflow_id}", "GET /workflows/{workflow_id}/status", "POST /workflows/{workflow_id}/cancel",
    "POST /workflows/{workflow_id}/retry", "POST /workers/register", "POST /workers/{worker_id}/heartbeat",
    "GET /workers", "POST /workers/{worker_id}/drain", "GET /queue/stats", "POST /queue/purge",
    "POST /queues/{name}/pause", "POST /queues/{name}/resume", "PUT /queues/{name}/retention", "GET /health", "GET /health/deep", "GET /health/live",
    "GET /health/ready", "GET /metrics",
}  # fmt: skip

VIEWS: dict[str, Any] = {
    view.__name__: view
    for view in (
        JobView, BatchRowView, CanceledView, EventView, WorkflowView, WorkflowCreatedView, WorkflowDetailView,
        WorkflowStatusView, WorkerView, WorkerListView, StatsView, PurgedView, QueueView, QueueRetentionView, RequeuedView, HealthView, DeepHealthView,
        ProbeView, ProblemView, WhyView, JobLogView, TraceView, TracePage,
    )
}  # fmt: skip


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    answer = await api.get("http://schedora.test/openapi.json")
    assert answer.status_code == 200
    described: dict[str, Any] = answer.json()
    return described


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path.removeprefix('/api/v1')}", operation


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


async def test_every_endpoint_is_described_and_no_other(document: dict[str, Any]) -> None:
    described = {name.replace(":path}", "}") for name, _ in operations(document)}

    assert described == ENDPOINTS
    assert document["openapi"].startswith("3.1")
    assert document["info"]["title"] == "schedora"


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))

    assert found
    for reference in found:
        name = reference.removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"], reference


async def test_each_endpoint_has_a_summary_an_example_and_its_refusals(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        codes = set(operation["responses"])
        assert {"500", "503"} <= codes, name
        assert ("422" in codes) == ("{" in name or "requestBody" in operation or has_query(operation)), name
        if "requestBody" in operation:
            assert "413" in codes, name
            assert operation["requestBody"]["content"]["application/json"]["example"], name
        for code, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                assert content["example"], (name, code)
                assert (media_type == "application/problem+json") == (int(code) >= 400), (name, code)
            assert response.get("content") or code == "204", (name, code)


def has_query(operation: dict[str, Any]) -> bool:
    return any(parameter["in"] == "query" for parameter in operation["parameters"])


async def test_parameters_are_described(document: dict[str, Any]) -> None:
    listed = document["paths"]["/api/v1/jobs"]["get"]["parameters"]
    names = {parameter["name"] for parameter in listed if parameter["in"] == "query"}

    assert names == {
        "status", "type", "queue", "workflow_id", "worker_id", "created_after", "created_before", "limit", "cursor",
    }  # fmt: skip
    limit = next(parameter for parameter in listed if parameter["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (
        1,
        500,
        50,
    )


async def test_each_parameter_of_a_query_says_what_it_does(document: dict[str, Any]) -> None:
    silent = [
        (name, parameter["name"])
        for name, operation in operations(document)
        for parameter in operation["parameters"]
        if parameter["in"] == "query" and not parameter.get("description")
    ]

    assert not silent


async def test_the_rules_of_the_domain_are_shown(document: dict[str, Any]) -> None:
    fields = document["components"]["schemas"]["JobSubmission"]["properties"]

    assert (fields["priority"]["minimum"], fields["priority"]["maximum"]) == (0, 10)
    assert fields["type"]["maxLength"] == 200
    assert fields["retry_policy"]["enum"] == ["fixed", "exponential", "jitter"]
    assert document["components"]["schemas"]["JobSubmission"]["additionalProperties"] is False


async def test_examples_of_bodies_are_taken(document: dict[str, Any]) -> None:
    models = {model.__name__: model for model in BODIES}
    seen = set()
    for _, operation in operations(document):
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            name = content["schema"]["$ref"].rpartition("/")[2]
            models[name].model_validate_json(json.dumps(content["example"]))
            seen.add(name)

    assert seen == models.keys()


async def test_examples_of_answers_are_what_is_answered(document: dict[str, Any]) -> None:
    seen = set()
    for name, operation in operations(document):
        for code, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                if "schema" not in content or "$ref" not in content["schema"]:
                    continue
                schema = content["schema"]["$ref"].rpartition("/")[2]
                view = named(schema)
                assert same_shape(view, content["example"]), (name, code, schema)
                seen.add(schema)

    assert len(seen) > 12


def named(schema: str) -> Any:
    """The type behind a name such as ``Data_JobView_``."""
    if "_" not in schema:
        return VIEWS[schema]
    envelope: Any = {"Page": Page, "Data": Data}[schema.partition("_")[0]]
    view: Any = VIEWS[schema.rstrip("_").rpartition("_")[2]]
    return envelope[list[view] if "_list_" in schema else view]


def same_shape(view: Any, document: Any) -> bool:
    """Whether ``document`` has the fields that ``view`` promises, all of them and no other."""
    adapter = TypeAdapter(view)
    again = adapter.dump_python(adapter.validate_json(json.dumps(document)), mode="json")
    return bool(keys_of(again) == keys_of(document))


def keys_of(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: keys_of(value) for name, value in document.items()}
    return [keys_of(value) for value in document] if isinstance(document, list) else None


async def test_real_answers_have_the_shape_that_is_promised(api: Api, bench: Bench) -> None:
    flow = {
        "name": "flow",
        "jobs": [{"key": "a", "type": "work"}, {"key": "b", "type": "work", "depends_on": ["a"]}],
    }
    created = (await api.post("/workflows", json=flow)).json()
    workflow_id = created["data"]["workflow_id"]
    await submit(api)
    await bench.claim(limit=2)

    assert same_shape(Data[WorkflowCreatedView], created)
    assert same_shape(Data[WorkflowDetailView], (await api.get(f"/workflows/{workflow_id}")).json())
    assert same_shape(Data[WorkflowStatusView], (await api.get(f"/workflows/{workflow_id}/status")).json())
    assert same_shape(Page[WorkflowView], (await api.get("/workflows")).json())
    assert same_shape(Page[JobView], (await api.get("/jobs")).json())
    for job in (await api.get("/jobs")).json()["data"]:
        assert same_shape(Data[WhyView], (await api.get(f"/jobs/{job['job_id']}/why")).json())
        assert same_shape(Data[TraceView], (await api.get(f"/jobs/{job['job_id']}/trace")).json())
    assert same_shape(TracePage, (await api.get(f"/workflows/{workflow_id}/trace")).json())
    assert same_shape(WorkerListView, (await api.get("/workers")).json())
    assert same_shape(StatsView, (await api.get("/queue/stats")).json())
    assert same_shape(Data[HealthView], (await api.get("/health")).json())
    assert same_shape(Data[DeepHealthView], (await api.get("/health/deep")).json())
    assert same_shape(ProblemView, (await api.get("/jobs/x")).json())


def test_the_examples_of_problems_are_those_that_are_made(app: FastAPI) -> None:
    for status, example in examples.PROBLEMS.items():
        assert example["status"] == status
        assert same_shape(ProblemView, example)
