"""One process's way to Redis, for one event loop, with a circuit breaker.

Redis may go away at any moment, in the middle of anything, and come back empty. Whoever asks for something must not wait
for that, and must hear of it once. So the first failure that says that the server is away opens the breaker: what is under
way fails at once, every further call fails at once, and one line in the log says why. A background task then tries again, at
ever longer and random intervals, by a script that writes, through the path that all use: a server that answers but takes no
writes is away too. When that comes through, the breaker closes, and one line says so.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from schedora.adapters.redis.connections import Argument, Connections, request
from schedora.adapters.redis.deadline import Deadline
from schedora.adapters.redis.errors import CommandRefused, RedisAway, why_away
from schedora.adapters.redis.keys import Keys
from schedora.adapters.redis.location import Location
from schedora.adapters.redis.scripts import Script, load
from schedora.application.backoff import Backoff
from schedora.application.log import Logger

_CONNECTIONS_MAX = 8
_FIRST_ATTEMPT_SECONDS = 0.25
_CHECK_SECONDS = 1.5
_INSPECTION_SECONDS = 2.0
_LOOK_SECONDS = 5.0
_PROBE_LIFE = timedelta(minutes=1)
_BACKOFF_MIN, _BACKOFF_MAX = timedelta(milliseconds=50), timedelta(seconds=10)
_CLOSE_SECONDS = 1.0

log = Logger("schedora.redis")

Asking = Callable[[timedelta], AbstractAsyncContextManager[Deadline]]


class RedisLink:
    """Connects in the background once it is opened. ``unit_random``, in [0, 1), spreads the attempts of many processes.

    A command that is not answered within ``command_timeout``, and a connection that is not there within
    ``connect_timeout``, count as a server that is away; ``socket_timeout`` and ``socket_connect_timeout`` in the URL take
    precedence. Replies are as they come: bytes, numbers, lists, None.

    ``aside``: another link of this process tells people that Redis went away and came back; this one tells it at the
    level of debugging.

    Raises ``ValueError`` for a URL that is none.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "schedora",
        command_timeout: timedelta = timedelta(seconds=0.5),
        connect_timeout: timedelta = timedelta(seconds=1),
        unit_random: Callable[[], float] = random.random,
        aside: bool = False,
    ) -> None:
        location = Location.parse(url)
        self.description = location.description
        self.keys = Keys(prefix)
        self._command_timeout = location.command_timeout or command_timeout
        self._connections = Connections(
            location,
            tag=prefix,
            connections_max=location.connections_max or _CONNECTIONS_MAX,
            command_timeout=self._command_timeout,
            connect_timeout=location.connect_timeout or connect_timeout,
        )
        self._unit_random = unit_random
        self._backoff = Backoff(unit_random, first=_BACKOFF_MIN, longest=_BACKOFF_MAX)
        self._probe = load("probe")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_up, self._is_down = asyncio.Event(), asyncio.Event()
        self._is_down.set()
        self._times_down = 0
        self._why = "is not connected yet"
        self._changed_at = 0.0
        """On the loop's clock."""
        self._aside = aside
        self._told = False
        """Whether the log says that it is away."""
        self._under_way: set[Deadline] = set()
        self._asked = asyncio.Event()
        """Set to have the background task try again at once."""
        self._tried = asyncio.Event()
        """Set by it when it has."""
        self._looking: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[bool], None]] = []
        self._before_close: list[Callable[[], Awaitable[None]]] = []

    @property
    def up(self) -> bool:
        """Whether Redis is there, as far as known: the breaker is closed."""
        return self._is_up.is_set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of this runs on. Raises ``RuntimeError`` before it is opened."""
        if self._loop is None:
            raise RuntimeError(f"the link to {self.description} is not open")
        return self._loop

    async def open(self) -> None:
        """Returns once Redis has answered, or after a moment: one that is away holds nobody up."""
        if self._looking is None:
            self._loop = asyncio.get_running_loop()
            self._changed_at = self._loop.time()
            self._looking = asyncio.create_task(self._keep_looking(), name="schedora-redis")
            await _within(_FIRST_ATTEMPT_SECONDS, self._tried)

    async def close(self) -> None:
        """What is under way may come to its end, for a moment; then everything is closed. Calls after it raise
        ``RedisAway``.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                for action in self._before_close:
                    await action()
        self._why = "is not asked any more: the link is closed"
        self._is_up.clear()
        self._cut_off()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._connections.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    def before_close(self, action: Callable[[], Awaitable[None]]) -> None:
        """What must come to an end before the connections do; it is given a moment."""
        self._before_close.append(action)

    def on_change(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Calls ``listener`` soon after each time that Redis went away (False) or came back (True), on the event loop.
        Answers what stops that.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def until_up(self) -> None:
        await self._is_up.wait()

    async def call(self, *command: Argument) -> Any:
        """The reply to one command, of which each word is an argument. Raises ``RedisAway``."""
        async with self._asking(self._command_timeout) as deadline:
            return await self._connections.execute(deadline, *command)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument] = ()) -> Any:
        """What the script returns. Raises ``RedisAway``."""
        async with self._asking(self._command_timeout) as deadline:
            return await self._run(deadline, script, keys, args)

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator["OwnConnection"]:
        """A connection that is nobody else's, for commands that wait. Raises ``RedisAway``."""
        async with self._asking(self._connections.connect_patience):
            connection = await self._connections.connect()
        try:
            yield OwnConnection(self._asking_since(self._times_down), connection, self._command_timeout)
        finally:
            await self._connections.disconnect(connection)

    @asynccontextmanager
    async def inspection(self) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
        """What asks for the reply to one command, over a connection made for it. Whatever comes of it says nothing of whether
        Redis is there for others: the breaker stays as it is. Within it, ``ResponseError`` is what Redis refuses, and all
        else that goes wrong raises ``RedisAway``.
        """
        try:
            async with Deadline(self._connections.connect_patience.total_seconds()) as deadline:
                connection = await self._connections.connect_anew()
                try:
                    deadline.put_off(_INSPECTION_SECONDS)
                    yield lambda *command: request(connection, command)
                finally:
                    await self._connections.disconnect(connection)
        except ResponseError:
            raise
        except (RedisError, OSError) as error:
            raise RedisAway(
                f"{self.description} {why_away(error) or f'refuses what is needed: {error}'}"
            ) from error

    async def check(self) -> None:
        """Looks now whether Redis takes writes, also while the breaker is open. Raises ``RedisAway``, at the latest after a
        second and a half or so.
        """
        if self.up:
            async with self._asking(self._command_timeout) as deadline:
                await self._write(deadline)
        else:
            self._tried.clear()
            self._asked.set()
            await _within(_CHECK_SECONDS, self._tried)
            if not self.up:
                raise self._away

    @property
    def _away(self) -> RedisAway:
        return RedisAway(f"{self.description} {self._why}")

    def _asking_since(self, times_down: int) -> Asking:
        """As ``_asking``, unless Redis was away since: what was connected before may be a master no more."""

        def asking(patience: timedelta) -> AbstractAsyncContextManager[Deadline]:
            if times_down != self._times_down:
                raise RedisAway(f"the connection to {self.description} broke")
            return self._asking(patience)

        return asking

    @asynccontextmanager
    async def _asking(self, patience: timedelta) -> AsyncIterator[Deadline]:
        """Within it, what the server fails to do raises ``RedisAway``, at the latest after ``patience``."""
        if not self.up:
            raise self._away
        try:
            async with Deadline(patience.total_seconds()) as deadline:
                self._under_way.add(deadline)
                try:
                    yield deadline
                finally:
                    self._under_way.discard(deadline)
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> RedisAway:
        if not self.up:  # it was cut off
            return self._away
        why = why_away(error)
        if why is None:
            log.error("redis refuses a command", server=self.description, error=str(error))
            return CommandRefused(f"{self.description} refuses a command: {error}")
        self._go_down(why)
        return self._away

    async def _run(
        self, deadline: Deadline, script: Script, keys: Sequence[str], args: Sequence[Argument]
    ) -> Any:
        try:
            return await self._connections.execute(deadline, "EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:  # it was restarted, or another took its place
            return await self._connections.execute(deadline, "EVAL", script.text, len(keys), *keys, *args)

    async def _write(self, deadline: Deadline) -> None:
        life_ms = int(_PROBE_LIFE / timedelta(milliseconds=1))
        await self._run(deadline, self._probe, [self.keys.probe()], [life_ms])

    async def _keep_looking(self) -> None:
        """Runs until it is canceled."""
        await self._try_again()
        while True:
            if self.up:
                await _within(_LOOK_SECONDS * (0.5 + self._unit_random()), self._is_down)
                if self.up:
                    await self._look()
            else:
                await _within(self._backoff.next().total_seconds(), self._asked)
                self._asked.clear()
                await self._try_again()

    async def _look(self) -> None:
        """Finds out what nobody would notice who asks for nothing, or asks a server that is no longer the master."""
        with suppress(RedisAway):
            async with self._asking(self._command_timeout) as deadline:
                await self._write(deadline)
            async with self._asking(self._connections.connect_patience):
                master = await self._connections.moved_to()
            if master is not None:
                self._go_down(f"is no longer the master: that is {master}")

    async def _try_again(self) -> None:
        try:
            await self._connections.renew()
            async with Deadline(self._connections.connect_patience.total_seconds()) as deadline:
                await self._write(deadline)
        except (RedisError, OSError) as error:
            self._stay_down(why_away(error) or f"refuses what is needed: {error}")
        else:
            self._go_up()
        self._tried.set()

    def _go_up(self) -> None:
        if self._told:
            (log.debug if self._aside else log.info)(
                "redis is back",
                server=self.description,
                away_seconds=round(self.loop.time() - self._changed_at, 3),
                reason=f"it {self._why}",
            )
        self._told = False
        self._change(up=True)

    def _go_down(self, why: str) -> None:
        """The breaker opens, and what is under way fails."""
        if self.loop.time() - self._changed_at > _BACKOFF_MAX.total_seconds():
            self._backoff.reset()  # else it goes on as before: what comes and goes is not steady
        self._times_down += 1
        self._change(up=False)
        self._stay_down(why)
        self._cut_off()

    def _stay_down(self, why: str) -> None:
        self._why = why
        if not self._told:
            self._told = True
            (log.debug if self._aside else log.warning)(
                "redis is away: going on without it, more slowly", server=self.description, reason=f"it {why}"
            )

    def _change(self, *, up: bool) -> None:
        (self._is_up.set if up else self._is_up.clear)()
        (self._is_down.clear if up else self._is_down.set)()
        self._changed_at = self.loop.time()
        for listener in tuple(self._listeners):
            self.loop.call_soon(listener, up)

    def _cut_off(self) -> None:
        for deadline in self._under_way:
            deadline.cut()


class OwnConnection:
    """To be had from ``RedisLink.own_connection``."""

    def __init__(self, asking: Asking, connection: AbstractConnection, command_timeout: timedelta) -> None:
        self._asking = asking
        self._connection = connection
        self._command_timeout = command_timeout

    async def call(self, *command: Argument, patience: timedelta = timedelta()) -> Any:
        """The reply to a command that may wait for so long by itself. Raises ``RedisAway``; then, as after a
        cancellation, this connection is to be left.
        """
        async with self._asking(patience + self._command_timeout):
            return await request(self._connection, command)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Whether it comes in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
