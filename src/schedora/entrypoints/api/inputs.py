"""What routes ask for besides bodies: the system, the visit, and query parameters that are said once."""

from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from schedora.entrypoints.api.problems import Refused, field_problem, invalid
from schedora.entrypoints.api.schemas.fields import Uuid
from schedora.entrypoints.api.visit import Visit, visit_of
from schedora.entrypoints.system import System

REPEATABLE = frozenset({"status"})


async def system_of(request: Request) -> System:
    system: System = request.app.state.system
    return system


async def _visit(request: Request) -> Visit:
    return visit_of(request)


async def said_once(request: Request) -> None:
    """Of two values for one parameter one would be passed over in silence. Raises ``Refused``."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, count in counts.items() if count > 1 and name not in REPEATABLE]
    if repeated:
        raise Refused(invalid([field_problem(name, "is given more than once") for name in repeated]))


TheSystem = Annotated[System, Depends(system_of)]
TheVisit = Annotated[Visit, Depends(_visit)]
PathId = Annotated[UUID, Uuid.__metadata__[0], Path()]
