"""Routes that look at something, and how long they may take."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from schedora.application.errors import StoreUnavailable

READ_SECONDS = 20.0
"""For what is read. Statements get longer, for large batches take their time; but who only looks is told that the store does
not answer before our clients, which wait for half a minute, give up.
"""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class ReadRoute(APIRoute):
    """Bounds those that GET, unless they wait because they were asked to. Changes are not cut off: nobody would know whether
    they were made.
    """

    def get_route_handler(self) -> Handler:
        handler: Handler = super().get_route_handler()
        return _bounded(handler) if "GET" in (self.methods or ()) else handler


def _bounded(handler: Handler) -> Handler:
    async def answered_in_time(request: Request) -> Response:
        if "wait" in request.query_params:
            return await handler(request)
        limit = asyncio.timeout(READ_SECONDS)
        try:
            async with limit:
                return await handler(request)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise StoreUnavailable(f"nothing came of it within {READ_SECONDS:g} seconds") from error

    return answered_in_time
