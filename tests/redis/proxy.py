"""The proxy of the torture before a Redis, with what tests of a client want besides."""

import asyncio
from contextlib import ExitStack
from enum import Enum, auto
from types import TracebackType
from typing import Self

from schedora_torture.proxy import BOTH, Direction, Proxy, reset_when_closed, tcp
from tests.proxies import LoopThread, loop_thread
from tests.redis.servers import Port, RedisServer


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


class _RedisProxy(Proxy):
    behaviour = Behaviour.PASS

    async def behave(self, behaviour: Behaviour) -> None:
        if behaviour is Behaviour.REFUSE:
            await self.cut()  # who is under way to it as well
            await self.__aexit__(None, None, None)
        elif self.behaviour is Behaviour.REFUSE:
            await self.__aenter__()
        self.behaviour = behaviour
        if behaviour is Behaviour.STALL:
            self.swallow(BOTH)
        elif behaviour is not Behaviour.REFUSE:
            self.heal()

    async def _pass_on(
        self, piece: bytes, to: asyncio.StreamWriter, direction: Direction, client: asyncio.StreamWriter
    ) -> bool:
        await self._flowing[direction].wait()
        match self.behaviour, direction:
            case Behaviour.BLACK_HOLE, _:
                return True
            case Behaviour.RESET, Direction.COMMANDS:
                reset_when_closed(client)
                return False
            case Behaviour.CUT, Direction.ANSWERS:
                to.write(piece[: len(piece) // 2])
                await to.drain()
                return False
            case _:
                return await super()._pass_on(piece, to, direction, client)


class FaultProxy:
    """Before ``server``, for as long as the context is open."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._port = Port()
        self._proxy = _RedisProxy(tcp("127.0.0.1", server.port), self._port.number)
        self._open = ExitStack()
        self._loop: LoopThread | None = None

    @property
    def url(self) -> str:
        return self._server.tcp_url.replace(f":{self._server.port}", f":{self._port.number}")

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._proxy.connections

    def behave(self, behaviour: Behaviour) -> None:
        """From now on, to old connections and new ones. Returns once it is so."""
        self._running.do(self._proxy.behave(behaviour))

    def reset(self) -> None:
        """Resets the connections that there are, once."""
        self._running.do(self._proxy.reset())

    def __enter__(self) -> Self:
        self._loop = self._open.enter_context(loop_thread())
        self._loop.do(self._proxy.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.behave(Behaviour.REFUSE)
        self._open.close()
        self._port.release()

    @property
    def _running(self) -> LoopThread:
        assert self._loop is not None, "its context is not open"
        return self._loop
