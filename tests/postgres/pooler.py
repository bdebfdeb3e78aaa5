"""What PgBouncer does, as far as its clients can tell: it hands the server's sessions on from transaction to transaction,
or from client to client, and makes up the process ids that clients cancel by.
"""

import asyncio
import re
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from urllib.parse import parse_qs, urlsplit

_SSL, _CANCEL = 80877103, 80877102
_IDLE = b"I"


class Pooler:
    """Before the server at ``url``, for its database and user. ``shared``: in transaction mode, each on the session that was
    used last, as PgBouncer has it, so that whoever is alone meets the same one again and everybody else another's.
    ``restless``: each on the one that was used longest ago, so that nobody meets the same one twice in a row. ``strict``: clients that ask for settings are refused, as they are unless PgBouncer is told to pass over those.
    ``full``: it has as many clients as it takes. ``version``: what it tells clients of the server, instead of what is so.
    """

    def __init__(
        self,
        url: str,
        *,
        shared: bool = True,
        restless: bool = False,
        strict: bool = False,
        full: bool = False,
        version: str | None = None,
    ) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._user, self._database = parts.username or "", parts.path.strip("/")
        self._shared = shared
        self._restless = restless
        self._strict = strict
        self._full = full
        self._version = version
        self._idle: list[_Upstream] = []
        self._clients = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its own URL."""
        tasks: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                    await self._serve(reader, writer)
            finally:
                writer.close()

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        try:
            yield f"postgresql://{self._user}@127.0.0.1:{port}/{self._database}"
        finally:
            listening.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for upstream in self._idle:
                upstream.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            body = await reader.readexactly(length - 4)
            (code,) = struct.unpack("!i", body[:4])
            if code == _CANCEL:
                return
            if code != _SSL:
                break
            writer.write(b"N")
        asked = set(body[4:].split(b"\0")[::2])
        if self._strict and b"statement_timeout" in asked:
            reason = b"SFATAL\0C08P01\0Munsupported startup parameter: statement_timeout\0\0"
            writer.write(_message(b"E", reason))
            return
        if self._full:
            writer.write(
                _message(b"E", b"SFATAL\0C08P01\0Mno more connections allowed (max_client_conn)\0\0")
            )
            return
        self._clients += 1
        if self._shared:
            async with self._one_of_all() as upstream:
                greeting = self._greeting(upstream)
            writer.write(greeting)
            while (first := await reader.read(65_536)) and not first.startswith(b"X"):
                async with self._one_of_all() as upstream:
                    upstream.writer.write(first)
                    await self._transaction(reader, writer, upstream)
            return
        own = await self._connected()
        writer.write(self._greeting(own))
        try:
            while (first := await reader.read(65_536)) and not first.startswith(b"X"):
                own.writer.write(first)
                await self._transaction(reader, writer, own)
        finally:
            own.writer.close()

    @asynccontextmanager
    async def _one_of_all(self) -> AsyncIterator["_Upstream"]:
        """Lent for one transaction. One that was left in the middle of it goes, and with it what was not committed."""
        if len(self._idle) < (2 if self._restless else 1):
            upstream = await self._connected()
        else:
            upstream = self._idle.pop(0 if self._restless else -1)
        try:
            yield upstream
        except BaseException:
            upstream.writer.close()
            raise
        self._idle.append(upstream)

    def _greeting(self, upstream: "_Upstream") -> bytes:
        told = upstream.greeting
        if self._version is not None:
            wrong = _message(b"S", b"server_version\0" + self._version.encode() + b"\0")
            told = re.sub(rb"S.{4}server_version\0[^\0]*\0", lambda _: wrong, told, flags=re.DOTALL)
        key = _message(b"K", struct.pack("!ii", 1_000_000 + self._clients, 0))
        return _message(b"R", struct.pack("!i", 0)) + told + key + _message(b"Z", _IDLE)

    @staticmethod
    async def _transaction(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: "_Upstream"
    ) -> None:
        """Until the server is idle again."""

        async def pass_on() -> None:
            while more := await reader.read(65_536):
                upstream.writer.write(more)
            upstream.writer.close()  # the client is gone, in the middle of it

        passing = asyncio.create_task(pass_on())
        try:
            while True:
                kind, body = await upstream.message()
                writer.write(_message(kind, body))
                if (kind, body) == (b"Z", _IDLE):
                    return
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)

    async def _connected(self) -> "_Upstream":
        upstream = _Upstream(*await asyncio.open_unix_connection(self._socket))
        parameters = f"user\0{self._user}\0database\0{self._database}\0application_name\0schedora\0\0"
        body = struct.pack("!i", 196_608) + parameters.encode()
        upstream.writer.write(struct.pack("!i", len(body) + 4) + body)
        while True:
            kind, body = await upstream.message()
            if kind == b"S":
                upstream.greeting += _message(kind, body)
            if kind == b"Z":
                return upstream


@contextmanager
def running_beside(pooler: Pooler) -> Iterator[str]:
    """Its own URL, for processes and for tests without an event loop: it has a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pooler")
    thread.start()
    stack = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(stack.enter_async_context(pooler.running()), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class _Upstream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.greeting = b""
        self._reader = reader

    async def message(self) -> tuple[bytes, bytes]:
        head = await self._reader.readexactly(5)
        (length,) = struct.unpack("!i", head[1:])
        return head[:1], await self._reader.readexactly(length - 4)


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body
