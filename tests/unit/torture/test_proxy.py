"""The proxy does to connections what networks do, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from attrs import define, field

from schedora_torture.proxy import BOTH, Direction, Proxy, tcp

SOON = 0.2
"""Long enough for what is not held back to arrive, on a machine with time to spare; what must not arrive never does."""


@define
class Echo:
    """A server that answers each line with the same, and remembers it."""

    port: int = 0
    heard: list[bytes] = field(factory=list)
    answering: asyncio.Event = field(factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while line := await reader.readline():
                self.heard.append(line)
                self.answering.set()
                writer.write(line)
                await writer.drain()
        writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    made = Echo()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    async with Proxy(tcp("127.0.0.1", echo.port)) as made:
        yield made


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, line: bytes) -> bytes:
        self.writer.write(line)
        await self.writer.drain()
        return await self.reader.readline()

    async def is_cut_off(self) -> bool:
        try:
            return not await self.ask(b"anybody?\n")
        except ConnectionError:
            return True


@pytest.fixture
async def caller(proxy: Proxy) -> AsyncIterator[Caller]:
    made = Caller(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await made.ask(b"hello\n") == b"hello\n"
    yield made
    made.writer.close()


async def refused(proxy: Proxy) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        return not await reader.read()
    except ConnectionResetError:
        return True
    finally:
        writer.close()


async def test_everything_passes(caller: Caller, proxy: Proxy, echo: Echo) -> None:
    assert await caller.ask(b"x" * 50_000 + b"\n") == b"x" * 50_000 + b"\n"
    assert (proxy.connections, len(echo.heard)) == (1, 2)
    assert len(proxy.upstream_ports) == 1


async def test_connections_are_cut_and_refused_until_it_is_healed(caller: Caller, proxy: Proxy) -> None:
    await proxy.cut()
    assert await caller.is_cut_off()
    assert await refused(proxy)
    proxy.heal()
    again = Caller(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await again.ask(b"again\n") == b"again\n"
    again.writer.close()


async def test_commands_that_are_swallowed_do_not_arrive_until_it_is_healed(
    caller: Caller, proxy: Proxy, echo: Echo
) -> None:
    proxy.swallow(Direction.COMMANDS)
    asking = asyncio.create_task(caller.ask(b"lost\n"))
    done, _ = await asyncio.wait([asking], timeout=SOON)
    assert (done, echo.heard) == (set(), [b"hello\n"])
    proxy.heal()
    assert await asking == b"lost\n"


async def test_commands_arrive_whose_answers_are_swallowed(caller: Caller, proxy: Proxy, echo: Echo) -> None:
    proxy.swallow(Direction.ANSWERS)
    echo.answering.clear()
    asking = asyncio.create_task(caller.ask(b"unanswered\n"))
    await echo.answering.wait()
    assert echo.heard == [b"hello\n", b"unanswered\n"]
    done, _ = await asyncio.wait([asking], timeout=SOON)
    assert not done
    proxy.heal()
    assert await asking == b"unanswered\n"


async def test_nobody_who_comes_meanwhile_is_answered(proxy: Proxy, echo: Echo) -> None:
    proxy.swallow(BOTH)
    late = Caller(*await asyncio.open_connection("127.0.0.1", proxy.port))
    asking = asyncio.create_task(late.ask(b"late\n"))
    done, _ = await asyncio.wait([asking], timeout=SOON)
    assert (done, echo.heard) == (set(), [])
    proxy.heal()
    assert await asking == b"late\n"
    late.writer.close()


async def test_what_was_swallowed_is_lost_with_its_connection(
    caller: Caller, proxy: Proxy, echo: Echo
) -> None:
    proxy.swallow(Direction.COMMANDS)
    caller.writer.write(b"lost\n")
    await caller.writer.drain()
    await proxy.reset()
    proxy.heal()
    again = Caller(*await asyncio.open_connection("127.0.0.1", proxy.port))
    assert await again.ask(b"again\n") == b"again\n"
    assert echo.heard == [b"hello\n", b"again\n"]
    again.writer.close()


async def test_a_delay_takes_both_ways_at_least(caller: Caller, proxy: Proxy) -> None:
    loop = asyncio.get_running_loop()
    proxy.delay(0.1)
    began = loop.time()
    assert await caller.ask(b"slow\n") == b"slow\n"
    assert loop.time() - began >= 0.2
    proxy.heal()


async def test_a_server_that_is_away_resets(echo: Echo) -> None:
    async with Proxy(tcp("127.0.0.1", 1)) as proxy:
        assert await refused(proxy)
