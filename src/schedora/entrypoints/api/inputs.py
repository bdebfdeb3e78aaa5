"""What routes ask for besides bodies: the system, the visit, and an address that can be read in one way only."""

from collections import Counter
from collections.abc import Collection
from typing import Annotated
from urllib.parse import unquote_to_bytes
from uuid import UUID

from fastapi import Depends, Path, Request
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException

from schedora.domain.job_request import QUEUE_LENGTH_MAX
from schedora.domain.worker import WORKER_ID_LENGTH_MAX
from schedora.entrypoints.api.problems import Refused, field_problem, invalid
from schedora.entrypoints.api.request_context import RequestContext, request_context_of
from schedora.entrypoints.api.schemas.fields import Uuid, text_schema
from schedora.entrypoints.system import System

REPEATABLE = frozenset({"status"})
REPEATABLE_FILTERS = frozenset({"queue", "type", "status", "workflow_id", "job_id"})
NO_TEXT = "must be percent-encoded UTF-8"


async def system_of(request: Request) -> System:
    system: System = request.app.state.system
    return system


async def _visit(request: Request) -> RequestContext:
    return request_context_of(request)


async def plain_address(request: Request) -> None:
    """Of two values for one parameter one would be passed over in silence; bytes that are no text would be
    replaced in silence. Raises ``Refused``, and ``HTTPException`` where the address is that of another route.
    """
    _check_address(request, REPEATABLE)


async def plain_address_of_filters(request: Request) -> None:
    """The same where every filter may be given more than once."""
    _check_address(request, REPEATABLE_FILTERS)


def _check_address(request: Request, repeatable: Collection[str]) -> None:
    scope = request.scope
    if scope["path"] in request.app.state.literal_addresses and scope["route"].path != scope["path"]:
        raise HTTPException(405)  # ``/jobs/batch`` is no job, whatever the method
    counts = Counter(name for name, _ in request.query_params.multi_items())
    errors = [
        field_problem(name, "is given more than once")
        for name, count in counts.items()
        if count > 1 and name not in repeatable
    ]
    if not _is_text(scope.get("raw_path") or b""):
        errors.append(field_problem("path", NO_TEXT, scope["path"]))
    for parameter in scope["query_string"].split(b"&"):
        if not _is_text(parameter):
            name, _, value = parameter.partition(b"=")
            errors.append(
                field_problem(unquote_to_bytes(name).decode(errors="replace"), NO_TEXT, value.decode())
            )
    if errors:
        raise Refused(invalid(errors))


def _is_text(encoded: bytes) -> bool:
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return True


TheSystem = Annotated[System, Depends(system_of)]
TheRequestContext = Annotated[RequestContext, Depends(_visit)]


class _NameConvertor(PathConvertor):
    """For names in addresses: these may have slashes, as those of Starlette's own may, and line breaks as well."""

    regex = r"[\s\S]*"


register_url_convertor("name", _NameConvertor())

PathId = Annotated[UUID, Uuid.__metadata__[0], Path()]
PathQueue = Annotated[str, Path(json_schema_extra=text_schema(QUEUE_LENGTH_MAX))]
PathWorker = Annotated[str, Path(json_schema_extra=text_schema(WORKER_ID_LENGTH_MAX))]
