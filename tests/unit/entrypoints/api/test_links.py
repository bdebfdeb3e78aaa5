"""Links of the description lead where they say."""

from typing import Any

import pytest

from schedora.entrypoints.api.links import SOURCES
from tests.unit.entrypoints.api.conftest import Api, submit


@pytest.fixture
async def document(api: Api) -> dict[str, Any]:
    told: dict[str, Any] = (await api.get("http://schedora.test/openapi.json")).json()
    return told


async def test_each_link_leads_to_an_operation_that_takes_its_parameters(document: dict[str, Any]) -> None:
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    links = [
        link
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    assert len(links) > 50
    for link in links:
        taken = {parameter["name"] for parameter in operations[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= taken


def test_each_source_is_there(document: dict[str, Any]) -> None:
    for method, path, status in SOURCES:
        assert document["paths"][path][method]["responses"][status]["links"]


async def test_a_job_that_was_submitted_is_found_by_its_link(api: Api, document: dict[str, Any]) -> None:
    job = await submit(api)
    links = document["paths"]["/api/v1/jobs"]["post"]["responses"]["201"]["links"]
    [to] = [link for name, link in links.items() if name.startswith("get_job_")]
    assert to["parameters"] == {"job_id": "$response.body#/data/job_id"}
    assert (await api.get(f"/jobs/{job['job_id']}")).json()["data"]["job_id"] == job["job_id"]
