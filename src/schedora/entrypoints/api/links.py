"""Where one goes from an answer: links of OpenAPI, from what makes or lists something to whatever is asked of it by id."""

from collections.abc import Iterator, Mapping
from typing import Any

from schedora.entrypoints.api.addresses import PREFIX

Link = tuple[str, dict[str, Any]]

SOURCES: Mapping[tuple[str, str, str], Mapping[str, str]] = {
    ("post", f"{PREFIX}/jobs", "201"): {"job_id": "/data/job_id"},
    ("post", f"{PREFIX}/jobs", "409"): {"job_id": "/data/job_id"},
    ("post", f"{PREFIX}/jobs/batch", "201"): {"job_id": "/data/0/job_id"},
    ("get", f"{PREFIX}/jobs", "200"): {"job_id": "/data/0/job_id"},
    ("get", f"{PREFIX}/dlq", "200"): {"job_id": "/data/0/job_id"},
    ("post", f"{PREFIX}/workflows", "201"): {
        "workflow_id": "/data/workflow_id",
        "job_id": "/data/jobs/0/job_id",
    },
    ("get", f"{PREFIX}/workflows", "200"): {"workflow_id": "/data/0/workflow_id"},
    ("post", f"{PREFIX}/workers/register", "201"): {"worker_id": "/data/worker_id"},
    ("get", f"{PREFIX}/workers", "200"): {"worker_id": "/workers/0/worker_id"},
}
"""By method, path and status: where in the answer an id stands that other operations take."""

CURSOR, NEXT = "cursor", "/next_cursor"


def add_links(paths: Mapping[str, Any]) -> None:
    """To each source: a link to every operation that takes nothing in its path but the id; to each list: its next page."""
    for (method, path, status), ids in SOURCES.items():
        response = paths[path][method]["responses"][status]
        response["links"] = dict(link for name, where in ids.items() for link in _to(paths, name, where))
    for path in paths.values():
        operation = path.get("get", {})
        if CURSOR in {parameter["name"] for parameter in operation.get("parameters", ())}:
            success = operation["responses"]["200"]
            name, link = _link(operation, CURSOR, NEXT)
            success["links"] = {**success.get("links", {}), name: link}


def _to(paths: Mapping[str, Any], name: str, where: str) -> Iterator[Link]:
    for path, operations in paths.items():
        if path.count("{") == 1 and f"{{{name}}}" in path:
            yield from (_link(operation, name, where) for operation in operations.values())


def _link(operation: Mapping[str, Any], name: str, where: str) -> Link:
    to = operation["operationId"]
    return to, {"operationId": to, "parameters": {name: f"$response.body#{where}"}}
