"""How long a request may take, and how many may be under way: what a store that does not answer can cost is bounded. So are
their bodies, where they are read.
"""

import asyncio
from collections.abc import Callable

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.errors import CutOff, answer_problem
from schedora.entrypoints.api.problems import unavailable
from schedora.entrypoints.api.visit import visit_of

OUTAGE_SECONDS_MAX = 2.0
"""What is not refused at once during an outage waits for no longer: a store that comes back answers sooner."""

ALWAYS = frozenset({"/health", "/health/deep", "/health/live", "/health/ready", "/metrics"})
"""What tells how things are, most of all when they are bad. Each bounds itself."""

_KEY = "schedora.stay"


class Admission:
    """Pure ASGI. The time of a request is counted from when it has arrived, for clients may be slow to send it, until its
    answer begins. ``outage`` tells whether the store is known to be away.
    """

    def __init__(
        self, app: ASGIApp, *, seconds: float, requests_max: int, outage: Callable[[], bool]
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._requests_max = requests_max
        self._outage = outage
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(PREFIX) in ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._requests >= self._requests_max:
            problem = unavailable(
                "Too many requests are under way; this one was not looked at. Try again soon."
            )
            await problem.response(visit_of(scope).trace.trace_id)(scope, receive, send)
            return
        stay = scope[_KEY] = _Stay(self, asyncio.timeout(None))
        answering = False

        async def send_marked(message: Message) -> None:
            nonlocal answering
            if not answering:
                answering = True
                stay.end()
            await send(message)

        try:
            async with stay.limit:
                if _has_body(scope):
                    await self._app(scope, stay.hearing(receive), send_marked)
                else:
                    stay.begin()
                    await self._app(scope, receive, send_marked)
        except TimeoutError as error:
            if answering or not stay.limit.expired():
                raise
            reason = CutOff(f"nothing came of it within {stay.seconds:g} seconds")
            reason.__cause__ = error
            response = await answer_problem(Request(scope, receive), reason)
            await response(scope, receive, send)
        finally:
            stay.leave()

    @property
    def seconds(self) -> float:
        """How long a request that begins now may take."""
        return min(self._seconds, OUTAGE_SECONDS_MAX) if self._outage() else self._seconds

    def count(self, requests: int) -> None:
        """So many more are under way, or fewer."""
        self._requests += requests


class _Stay:
    """One request, from its admission until its answer begins."""

    def __init__(self, admission: Admission, limit: asyncio.Timeout) -> None:
        self.limit = limit
        self.seconds = 0.0
        self._admission = admission
        self._counted = False
        self._over = False

    def begin(self) -> None:
        """It has arrived whole: from now on it is ours to answer."""
        if self._over or self._counted:
            return
        self._counted = True
        self._admission.count(requests=1)
        self.allow(self._admission.seconds)

    def allow(self, seconds: float) -> None:
        """So much time from now, in place of what was left."""
        if not self._over:
            self.seconds = seconds
            self.limit.reschedule(asyncio.get_running_loop().time() + seconds)

    def wait(self, seconds: float) -> None:
        """It waits because it was asked to, and stands in nobody's way: it has so much more time, and gives up its place."""
        self.allow(seconds + self._admission.seconds)
        if self._counted:
            self._counted = False
            self._admission.count(requests=-1)

    def end(self) -> None:
        """Its answer begins, and takes as long as its client likes."""
        if not self._over:
            if not self.limit.expired():
                self.limit.reschedule(None)
            self.leave()

    def leave(self) -> None:
        """It is under way no more."""
        if not self._over:
            self._over = True
            if self._counted:
                self._admission.count(requests=-1)

    def hearing(self, receive: Receive) -> Receive:
        async def heard() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                self.begin()
            return message

        return heard


def wait_longer(request: Request, seconds: float) -> None:
    """For a request that was asked to wait for so long before it answers."""
    stay: _Stay | None = request.scope.get(_KEY)
    if stay is not None:
        stay.wait(seconds)


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )
