"""How long a request may take, and how many may be under way: what a store that does not answer can cost is bounded. So are
their bodies, where they are read.
"""

import asyncio
from collections.abc import Callable

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.errors import CutOff, answer_problem
from schedora.entrypoints.api.problems import STOPPING, Refused, unavailable
from schedora.entrypoints.api.request_context import request_context_of

OUTAGE_SECONDS_MAX = 2.0
"""What is not refused at once during an outage waits for no longer: a store that comes back answers sooner."""

ALWAYS = frozenset({"/health", "/health/deep", "/health/live", "/health/ready", "/metrics"})
"""What tells how things are, most of all when they are bad. Each bounds itself."""

TOO_MANY = unavailable("Too many requests are under way; this one was not looked at. Try again soon.")

_KEY = "schedora.stay"


class Admission:
    """Pure ASGI. The time of a request is counted from when it has arrived, for clients may be slow to send it, until its
    answer begins. ``outage`` tells whether the store is known to be away, ``stopping`` whether requests are given up since the server
    ends.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        seconds: float,
        requests_max: int,
        outage: Callable[[], bool],
        stopping: Callable[[], bool],
    ) -> None:
        self._app = app
        self._seconds = seconds
        self._requests_max = requests_max
        self._outage = outage
        self._stopping = stopping
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(PREFIX) in ALWAYS:
            await self._app(scope, receive, send)
            return
        if not self.has_room:
            await TOO_MANY.response(request_context_of(scope).trace.trace_id)(scope, receive, send)
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
                stay.begin()
                hears = stay.hearing(receive) if _has_body(scope) else receive
                await self._app(scope, hears, send_marked)
        except asyncio.CancelledError:
            if answering or not self._stopping():
                raise
            await STOPPING.response(request_context_of(scope).trace.trace_id)(scope, receive, send)
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
    def has_room(self) -> bool:
        return self._requests < self._requests_max

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
        self._waits = False
        self._over = False

    def begin(self) -> None:
        """From now on it is ours to answer."""
        if not self._over:
            self._count()
            self.allow(self._admission.seconds)

    def allow(self, seconds: float) -> None:
        """So much time from now, in place of what was left."""
        if not self._over:
            self.seconds = seconds
            self._reschedule(asyncio.get_running_loop().time() + seconds)

    def wait(self, seconds: float) -> None:
        """It waits because it was asked to, and stands in nobody's way: it has so much more time, and gives up its place."""
        self._waits = True
        self.allow(seconds + self._admission.seconds)
        self._count_out()

    def end(self) -> None:
        """Its answer begins, and takes as long as its client likes."""
        if not self._over:
            self._reschedule(None)
            self.leave()

    def leave(self) -> None:
        """It is under way no more."""
        if not self._over:
            self._over = True
            self._count_out()

    def hearing(self, receive: Receive) -> Receive:
        """While the body is waited for, it is its client who takes the time. Most answers need no body, and do not wait for one:
        whoever sends it all the same gains nothing by that. The receiver raises ``Refused`` where others have taken the room
        meanwhile.
        """
        whole = False

        async def heard() -> Message:
            nonlocal whole
            if whole or self._waits or self._over:
                return await receive()
            self._reschedule(None)
            self._count_out()
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                whole = True
                if not self._admission.has_room:
                    raise Refused(TOO_MANY)
                self.begin()
            return message

        return heard

    def _reschedule(self, when: float | None) -> None:
        if not self.limit.expired():  # else it is too late, and said to be
            self.limit.reschedule(when)

    def _count(self) -> None:
        if not self._counted:
            self._counted = True
            self._admission.count(requests=1)

    def _count_out(self) -> None:
        if self._counted:
            self._counted = False
            self._admission.count(requests=-1)


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
