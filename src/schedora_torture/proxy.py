"""A TCP proxy between one process and a server, that does to connections what networks do."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Flag, auto
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to the server. Raises ``OSError``."""


class Direction(Flag):
    COMMANDS = auto()
    """From the process to the server."""
    ANSWERS = auto()
    """From the server to the process."""


BOTH = Direction.COMMANDS | Direction.ANSWERS


def tcp(host: str, port: int) -> Connect:
    """Connects there."""
    return lambda: asyncio.open_connection(host, port)


def unix(path: str) -> Connect:
    """Connects to the socket of that name."""
    return lambda: asyncio.open_unix_connection(path)


class Proxy:
    """Listens on a port of the loopback interface for as long as the context is open. Passes everything on, until told
    otherwise.
    """

    def __init__(self, connect: Connect, port: int = 0) -> None:
        """``port`` 0: any that is free."""
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._refusing = False
        self._delay_seconds = 0.0
        self._flowing = {Direction.COMMANDS: asyncio.Event(), Direction.ANSWERS: asyncio.Event()}
        self._pairs: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._upstream_ports: dict[asyncio.Task[None], int] = {}
        self.port = port

    async def __aenter__(self) -> Self:
        self.heal()
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self.reset()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._pairs)

    @property
    def upstream_ports(self) -> frozenset[int]:
        """The ports of this machine that the server sees its connections come from."""
        return frozenset(self._upstream_ports.values())

    async def cut(self) -> None:
        """Resets every connection, and each that is tried until ``heal``."""
        self._refusing = True
        await self.reset()

    def delay(self, seconds: float) -> None:
        """Whatever passes takes so much longer, each piece by itself, until ``heal``."""
        self._delay_seconds = seconds

    def swallow(self, directions: Direction) -> None:
        """Nothing arrives that is sent in these directions, until ``heal``. Nobody is told."""
        for direction in directions:
            self._flowing[direction].clear()

    def heal(self) -> None:
        """All is well again; what was held back arrives."""
        self._refusing = False
        self._delay_seconds = 0.0
        for flowing in self._flowing.values():
            flowing.set()

    async def reset(self) -> None:
        """Resets the connections that there are, once."""
        for task, client in self._pairs.items():
            reset_when_closed(client)
            task.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        if self._refusing:
            reset_when_closed(client)
            client.close()
            return
        task = asyncio.create_task(self._serve(reader, client))
        self._pairs[task] = client
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pairs.pop(task).close()
        self._upstream_ports.pop(task, None)

    async def _serve(self, commands: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        await self._flowing[Direction.COMMANDS].wait()  # its first packet does not arrive either
        try:
            answers, server = await self._connected()
        except OSError:
            reset_when_closed(client)
            return
        name = server.get_extra_info("sockname")
        if isinstance(name, tuple) and (task := asyncio.current_task()) is not None:
            self._upstream_ports[task] = name[1]
        ways = [
            asyncio.ensure_future(self._forward(commands, server, Direction.COMMANDS, client)),
            asyncio.ensure_future(self._forward(answers, client, Direction.ANSWERS, client)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            server.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A cancellation at the moment that the connection is there must not leave it open."""
        connecting = asyncio.ensure_future(self._connect())
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            with suppress(OSError):
                _, server = await connecting
                server.close()
            raise

    async def _forward(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        direction: Direction,
        client: asyncio.StreamWriter,
    ) -> None:
        with suppress(OSError):  # either side is gone
            while piece := await source.read(CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                if not await self._pass_on(piece, to, direction, client):
                    return
            await self._flowing[direction].wait()  # an end is not heard of either

    async def _pass_on(
        self, piece: bytes, to: asyncio.StreamWriter, direction: Direction, _client: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection goes on after it."""
        await self._flowing[direction].wait()
        to.write(piece)
        await to.drain()
        return True


def reset_when_closed(writer: asyncio.StreamWriter) -> None:
    """Its peer is told so by RST."""
    with suppress(OSError):  # it has ended already
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
