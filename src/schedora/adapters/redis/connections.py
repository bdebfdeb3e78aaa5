"""Connections to the server that takes the writes: a few that are shared, used one command at a time, and own ones.

Made of redis-py's connections, without its clients: those would try again by themselves, each time with all their timeouts,
and would ask a whole Cluster for all its commands, where one slot is all that is wanted.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AskError, MovedError, RedisError

from schedora.adapters.redis.deadline import Deadline
from schedora.adapters.redis.errors import translated
from schedora.adapters.redis.location import Address, Kind, Location
from schedora.adapters.redis.topology import ClusterSlot, OneServer, Sentinels, Topology

_REDIRECTIONS_MAX = 3
_CLOSE_SECONDS = 0.5

Argument = str | bytes | int | float


class Connections:
    """At most ``connections_max`` shared ones. All methods raise what redis-py raises, ``OSError`` and ``TimeoutError``;
    how long they may take is for the caller to say.
    """

    def __init__(
        self,
        location: Location,
        *,
        tag: str,
        connections_max: int,
        command_timeout: timedelta,
        connect_timeout: timedelta,
    ) -> None:
        self._location = location
        self._command_timeout = command_timeout
        self._connect_timeout = connect_timeout
        self._topology = self._topology_of(location, tag)
        self._master: Address | None = None
        self._room = asyncio.Semaphore(connections_max)
        self._idle: list[AbstractConnection] = []
        self._open: set[AbstractConnection] = set()
        self._stale: set[AbstractConnection] = set()
        """Open, but to a server that is not to be used any more."""

    @property
    def connect_patience(self) -> timedelta:
        """What it takes to find the master and to connect to it, when all that can be silent is."""
        return self._connect_timeout * (1 + self._topology.asked_max)

    async def execute(self, deadline: Deadline, *command: Argument) -> Any:
        """Follows a Cluster's redirections. Puts off the ``deadline`` while it has to connect."""
        for _ in range(_REDIRECTIONS_MAX):
            try:
                async with self._shared(deadline) as connection:
                    return await request(connection, command)
            except MovedError as error:
                await self.renew()
                self._master = Address(error.host, error.port)
            except AskError as error:
                async with self._to(Address(error.host, error.port), deadline) as connection:
                    await request(connection, ("ASKING",))
                    return await request(connection, command)
        async with self._shared(deadline) as connection:
            return await request(connection, command)

    async def connect(self) -> AbstractConnection:
        """One that is shared with nobody, to be given to ``disconnect``."""
        if self._master is None:
            with translated():
                self._master = await self._topology.master()
        return await self._connected(self._master)

    async def connect_anew(self) -> AbstractConnection:
        """As ``connect``, to who is the master now, whoever it was for others."""
        with translated():
            master = await self._topology.master()
        return await self._connected(master)

    async def disconnect(self, connection: AbstractConnection) -> None:
        self._open.discard(connection)
        self._stale.discard(connection)
        with suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)

    async def renew(self) -> None:
        """Forgets who the master is and lets no connection that is open be used once more."""
        self._master = None
        self._stale = set(self._open)
        idle, self._idle = self._idle, []
        for connection in idle:
            await self.disconnect(connection)

    async def moved_to(self) -> Address | None:
        """The new master, where another was made it and the old one does not tell."""
        if self._master is None or not self._topology.watched:
            return None
        with translated():
            master = await self._topology.master()
        return None if master == self._master else master

    async def close(self) -> None:
        """Returns when all are closed, the own ones too."""
        self._idle = []
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                for connection in tuple(self._open):
                    with suppress(RedisError, OSError):
                        await connection.disconnect()
        for connection in tuple(self._open):
            await self.disconnect(connection)
        with suppress(RedisError, OSError):
            await self._topology.close()

    @asynccontextmanager
    async def _shared(self, deadline: Deadline) -> AsyncIterator[AbstractConnection]:
        async with self._room:
            connection = await self._free()
            if connection is None:
                with self._connecting(deadline):
                    connection = await self.connect()
            try:
                yield connection
            finally:
                # Whatever went wrong within a command has closed it.
                if connection.is_connected and connection not in self._stale:
                    self._idle.append(connection)
                else:
                    await self.disconnect(connection)

    @asynccontextmanager
    async def _to(self, address: Address, deadline: Deadline) -> AsyncIterator[AbstractConnection]:
        with self._connecting(deadline):
            connection = await self._connected(address)
        try:
            yield connection
        finally:
            await self.disconnect(connection)

    @contextmanager
    def _connecting(self, deadline: Deadline) -> Iterator[None]:
        deadline.put_off(self.connect_patience.total_seconds())
        yield
        deadline.put_off(self._command_timeout.total_seconds())

    async def _free(self) -> AbstractConnection | None:
        """The one that was used last, unless the server has closed it meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(OSError, RedisError):
                if not await connection.can_read():
                    return connection
            await self.disconnect(connection)
        return None

    async def _connected(self, address: Address) -> AbstractConnection:
        connection = self._made(address)
        self._open.add(connection)
        try:
            with translated():
                await connection.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await self.disconnect(connection)
            raise
        return connection

    def _made(self, address: Address) -> AbstractConnection:
        options = {
            **self._location.options,
            "client_name": client_name(),
            "protocol": 2,  # nothing of 3 is used; 2 takes no round trip, and proxies know it
            "socket_connect_timeout": self._connect_timeout.total_seconds(),
            "socket_timeout": None,  # the caller's deadline ends a command: one timer, not one for each step
        }
        if self._location.kind is Kind.SOCKET:
            return UnixDomainSocketConnection(path=self._location.path or "", **options)
        made = SSLConnection if self._location.tls else Connection
        return made(host=address.host, port=address.port, **options)

    def _topology_of(self, location: Location, tag: str) -> Topology:
        match location.kind:
            case Kind.SENTINEL:
                return Sentinels(location, timeout=self._connect_timeout)
            case Kind.CLUSTER:
                return ClusterSlot(location, tag=tag, connect=self._made, timeout=self._connect_timeout)
            case Kind.SOCKET:
                return OneServer(Address(location.path or "", 0))
        return OneServer(location.addresses[0])


async def request(connection: AbstractConnection, command: tuple[Argument, ...]) -> Any:
    """Sends the command and answers its reply as it comes: bytes, numbers, lists, None."""
    with translated():
        await connection.send_command(*command)
        try:
            return await connection.read_response()
        except AskError as error:  # MOVED is one as well
            if error.host in {"", "?"}:  # it knows no name but the one by which it was reached
                error.host = getattr(connection, "host", error.host)
            raise


def client_name() -> str:
    """By which ``CLIENT LIST`` shows whose connection it is: without the blanks and signs that Redis refuses."""
    host = "".join(letter for letter in socket.gethostname() if letter.isascii() and letter.isprintable())
    return f"schedora-{host}-{os.getpid()}".replace(" ", "")
