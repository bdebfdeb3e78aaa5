"""Hands submissions to their endpoints past the router and its layers, which cost one more than to store it does."""

from collections.abc import Awaitable, Callable, Iterable

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from schedora.entrypoints.api.errors import ANSWERED, answer_problem

Endpoint = Callable[[Request], Awaitable[Response]]


class FastRoute:
    """Pure ASGI. The routes stay where they are, for the documentation and for addresses that are not written like
    theirs; each takes the request and nothing else.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[APIRoute]) -> None:
        self._app = app
        self._routes = {(method, route.path): route for route in routes for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = None
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get((scope["method"], scope["path"]))
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response: Response = await route.endpoint(request)
        except ANSWERED as error:
            response = await answer_problem(request, error)
        await response(scope, receive, send)
