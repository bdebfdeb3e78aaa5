"""Who answers where a Redis should, and is none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

OK = b"+OK\r\n"


@asynccontextmanager
async def a_stranger(answer: bytes, *, port: int = 0, greets: bool = False) -> AsyncIterator[int]:
    """Answers this to whatever is said to it; with ``greets``, as Redis does to who connects. Its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while said := await reader.read(65_536):
                greetings = said.count(b"CLIENT\r\n") if greets else 0
                writer.write(OK * greetings or answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield server.sockets[0].getsockname()[1]
