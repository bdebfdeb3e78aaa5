"""How routes tell the documentation what they take and answer; ``openapi.py`` puts it together."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import BaseModel

from schedora.entrypoints.api import examples
from schedora.entrypoints.api.problems import MEDIA_TYPE

REFERENCE = "#/components/schemas/"


def sealed(example: object) -> str:
    """An example as text: FastAPI drops what is null from all that it describes. ``openapi.py`` unseals it."""
    return orjson.dumps(example).decode()


def takes(model: type[BaseModel], example: object, *, required: bool = True) -> dict[str, Any]:
    """For ``openapi_extra``: a body that the route reads and checks itself."""
    content = {"schema": {"$ref": f"{REFERENCE}{model.__name__}"}, "example": sealed(example)}
    return {"requestBody": {"required": required, "content": {"application/json": content}}}


def answers(
    status: int,
    model: Any,
    example: object,
    *,
    refuses: Collection[int] = (),
    headers: Collection[str] = (),
    media_type: str = "application/json",
) -> dict[int | str, dict[str, Any]]:
    """For ``responses``: the success, and each refusal as a problem."""
    success: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if model is not None:
        success["model"] = model
    if example is not None:
        success["content"] = {media_type: {"example": sealed(example)}}
    if headers:
        success["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    # What takes a body may find that it is no JSON, or does not come.
    of_bodies = (408, 415) if 413 in refuses else ()
    refusals: dict[int | str, dict[str, Any]] = {
        code: _refusal(code) for code in (*refuses, *of_bodies, 500, 503)
    }
    return {status: success, **refusals}


def _refusal(status: int) -> dict[str, Any]:
    refusal: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"{REFERENCE}ProblemView"},
                "example": sealed(examples.PROBLEMS[status]),
            }
        },
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        refusal["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
    return refusal
