"""The API's description: what FastAPI knows of the routes, and the schemas of what they read themselves."""

from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from schedora.entrypoints.api.documented import REFERENCE
from schedora.entrypoints.api.links import add_links
from schedora.entrypoints.api.schemas.job_submission import JobBatch, JobSubmission
from schedora.entrypoints.api.schemas.problem import ProblemView
from schedora.entrypoints.api.schemas.queues import DlqFilter, RetentionChange
from schedora.entrypoints.api.schemas.workers import Heartbeat, WorkerRegistration
from schedora.entrypoints.api.schemas.workflows import WorkflowSubmission

BODIES = (
    JobSubmission, JobBatch, WorkflowSubmission, DlqFilter, RetentionChange, WorkerRegistration, Heartbeat
)  # fmt: skip
VALIDATION: JsonSchemaMode = "validation"

TRACEPARENT: dict[str, Any] = {
    "name": "traceparent",
    "in": "header",
    "required": False,
    "description": "W3C Trace Context: the trace that this request belongs to",
    "schema": {"type": "string"},
}
CORRELATION: dict[str, Any] = {
    "name": "X-Correlation-ID",
    "in": "header",
    "required": False,
    "description": "Comes back in the answer and stands in the logs; made where it is not given, or is not 1 to 128 visible"
    " characters of ASCII",
    "schema": {"type": "string"},
}


def describe(app: FastAPI) -> None:
    """Makes ``app.openapi`` answer the whole description."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # the way that FastAPI offers


def _description(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _, bodies = models_json_schema(
        [(model, VALIDATION) for model in BODIES], ref_template=REFERENCE + "{model}"
    )
    schemas |= bodies["$defs"]
    problem = TypeAdapter(ProblemView).json_schema(ref_template=REFERENCE + "{model}")
    schemas |= problem.pop("$defs")
    schemas["ProblemView"] = problem
    for path in document["paths"].values():
        for operation in path.values():
            operation.setdefault("parameters", []).extend((TRACEPARENT, CORRELATION))
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in part.get("content", {}).values():
                    content["example"] = orjson.loads(content["example"])
    add_links(document["paths"])
    return document
