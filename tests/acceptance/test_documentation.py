"""The documentation that the server brings."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.acceptance.api import Api

PATHS = {
    "/api/v1/jobs": {"get", "post"}, "/api/v1/jobs/batch": {"post"}, "/api/v1/jobs/{job_id}": {"get"},
    "/api/v1/jobs/{job_id}/cancel": {"post"}, "/api/v1/jobs/{job_id}/retry": {"post"},
    "/api/v1/jobs/{job_id}/events": {"get"}, "/api/v1/dlq": {"get"}, "/api/v1/dlq/requeue": {"post"},
    "/api/v1/dlq/{job_id}/requeue": {"post"}, "/api/v1/dlq/{job_id}": {"delete"},
    "/api/v1/workflows": {"get", "post"}, "/api/v1/workflows/{workflow_id}": {"get"},
    "/api/v1/workflows/{workflow_id}/status": {"get"}, "/api/v1/workflows/{workflow_id}/cancel": {"post"},
    "/api/v1/workflows/{workflow_id}/retry": {"post"}, "/api/v1/workers": {"get"},
    "/api/v1/workers/register": {"post"}, "/api/v1/workers/{worker_id}/heartbeat": {"post"},
    "/api/v1/workers/{worker_id}/drain": {"post"}, "/api/v1/queue/stats": {"get"}, "/api/v1/queue/purge": {"post"},
    "/api/v1/queues/{name}/pause": {"post"}, "/api/v1/queues/{name}/resume": {"post"},
    "/api/v1/queues/{name}/retention": {"put"},
    "/api/v1/health": {"get"}, "/api/v1/health/deep": {"get"}, "/api/v1/health/live": {"get"}, "/api/v1/health/ready": {"get"},
    "/api/v1/metrics": {"get"},
}  # fmt: skip


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_pages_load_nothing_from_elsewhere(api: Api, page: str) -> None:
    answer = api.http.get(page)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "/openapi.json" in answer.text
    assets = re.findall(r"""(?:src|href|url)\s*[=(:]\s*["']?([^"'\s>)]+)""", answer.text)
    assert any(asset.endswith(".js") for asset in assets)
    for asset in assets:
        assert not urlsplit(asset).netloc, asset
        assert api.http.get(asset).status_code == 200, asset
    assert not re.findall(r"https?://[^\s\"'<>]*\.(?:js|css|png|ico|woff2?)", answer.text)
    styles = [api.http.get(asset).text for asset in assets if asset.endswith(".css")]
    assert not [
        found for style in styles for found in re.findall(r"(?:url\(|@import)\s*[\"']?https?:", style)
    ]


def test_every_endpoint_is_described(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    described = {path: set(item) for path, item in document["paths"].items()}
    assert described.items() >= PATHS.items()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], (method, path)
            assert operation["operationId"], (method, path)
            assert operation["tags"], (method, path)
    assert "servers" not in document or all(server["url"].startswith("/") for server in document["servers"])


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in references(value)]
    if isinstance(part, list):
        return [found for value in part for found in references(value)]
    return []


def test_every_reference_leads_somewhere(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    for reference in references(document):
        part = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_refusals_are_described_as_problems(api: Api) -> None:
    document = api.http.get("/openapi.json").json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and not (
                    path.endswith(("/health", "/health/ready")) and status == "503"
                ):
                    assert list(response["content"]) == ["application/problem+json"], (method, path, status)


def test_the_members_of_an_event_and_of_an_error_are_described(api: Api) -> None:
    text = api.http.get("/openapi.json").text
    for member in (
        "lease_token",
        "worker_deaths",
        "retry_base_seconds",
        "traceback",
        "same_request",
        "next_cursor",
    ):
        assert f'"{member}"' in text
