"""A proxy that stands before a server and does to connections what networks do."""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum, auto
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.redis.servers import Port, RedisServer

CHUNK_BYTES = 65536
Answer = TypeVar("Answer")


class Behaviour(Enum):
    PASS = auto()
    REFUSE = auto()
    """Nobody listens; the connections that there were are reset."""
    RESET = auto()
    """A connection is reset at the first byte of a command."""
    CUT = auto()
    """A command arrives, and its connection ends in the middle of the answer."""
    BLACK_HOLE = auto()
    """Connections are accepted and commands taken; neither these nor answers get through, now or later."""
    STALL = auto()
    """The same, but what is held back gets through once it passes again."""


class FaultProxy:
    """Before ``server``, for as long as the context is open. In a thread of its own: tests of any kind may use it."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._port = Port()
        self._behaviour = Behaviour.PASS
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="fault proxy")
        self._listener: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return self._server.tcp_url.replace(f":{self._server.port}", f":{self._port.number}")

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    def behave(self, behaviour: Behaviour) -> None:
        """From now on, to old connections and new ones. Returns once it is so."""
        self._do(self._behave(behaviour))

    def reset(self) -> None:
        """Resets the connections that there are, once."""
        self._do(self._reset())

    def __enter__(self) -> Self:
        self._thread.start()
        self.behave(Behaviour.PASS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.behave(Behaviour.REFUSE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._port.release()

    def _do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _behave(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        if behaviour is Behaviour.STALL:
            self._flowing.clear()
        else:
            self._flowing.set()
        if behaviour is Behaviour.REFUSE:
            if self._listener is not None:
                self._listener.close()
                self._listener = None
            await self._reset()
        elif self._listener is None:
            self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", self._port.number)

    async def _reset(self) -> None:
        for task, client in self._connections.items():
            _reset_when_closed(client)
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._behaviour is Behaviour.REFUSE:  # it was under way when the listener was closed
            _reset_when_closed(writer)
            writer.close()
            return
        task = self._loop.create_task(self._serve(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)
        task.add_done_callback(lambda _: writer.close())  # also that of one that was canceled before it began

    async def _serve(self, commands: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            answers, server = await _connected(self._server.port)
            await self._serve_between(commands, client, answers, server)
        except OSError:  # either side is gone
            pass
        finally:
            await _close(client)

    async def _serve_between(
        self,
        commands: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        server: asyncio.StreamWriter,
    ) -> None:
        forward = [
            asyncio.ensure_future(self._forward_commands(commands, client, server)),
            asyncio.ensure_future(self._forward_answers(answers, client)),
        ]
        try:
            ended, _ = await asyncio.wait(forward, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            server.close()  # first, for what follows may be canceled
            for task in forward:
                task.cancel()
            await asyncio.gather(*forward, return_exceptions=True)
            await _close(server)

    async def _forward_commands(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        while commands := await reader.read(CHUNK_BYTES):
            if self._behaviour is Behaviour.RESET:
                _reset_when_closed(client)
                return
            await self._forward(commands, server)

    async def _forward_answers(self, answers: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while answer := await answers.read(CHUNK_BYTES):
            if self._behaviour is Behaviour.CUT:
                client.write(answer[: len(answer) // 2])
                await client.drain()
                return
            await self._forward(answer, client)

    async def _forward(self, what: bytes, to: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        if self._behaviour is not Behaviour.BLACK_HOLE:
            to.write(what)
            await to.drain()


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A cancellation at the moment that the connection is there must not leave it open."""
    connecting = asyncio.ensure_future(asyncio.open_connection("127.0.0.1", port))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        with suppress(OSError):
            _, server = await connecting
            await _close(server)
        raise


def _reset_when_closed(writer: asyncio.StreamWriter) -> None:
    """Its peer is told so by RST."""
    with suppress(OSError):  # it has ended already
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
