"""Which server takes the writes: the only one there is, whom the Sentinels name, or who owns our slot of a Cluster.

All keys carry one hash tag, so that a Cluster is to us what a Sentinel's service is: one master at a time, that may move.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError

from schedora.adapters.redis.errors import translated
from schedora.adapters.redis.location import Address, Location

_NODES_ASKED_MAX = 3


class Topology(Protocol):
    """Methods raise what redis-py raises, ``OSError`` and ``TimeoutError``."""

    @property
    def asked_max(self) -> int:
        """How many servers ``master`` may have to ask in turn, each of which may not answer."""
        ...

    @property
    def watched(self) -> bool:
        """Whether to ask again from time to time: a master that is cut off from the others goes on taking writes."""
        ...

    async def master(self) -> Address:
        """Who takes the writes now."""
        ...

    async def close(self) -> None: ...


class OneServer:
    """A name, which is looked up anew for each connection: where it points may change."""

    asked_max = 0
    watched = False

    def __init__(self, address: Address) -> None:
        self._address = address

    async def master(self) -> Address:
        return self._address

    async def close(self) -> None:
        """Nothing is open."""


class Sentinels:
    """The one that answered is asked first from then on."""

    watched = True

    def __init__(self, location: Location, *, timeout: timedelta) -> None:
        self._service = location.service or ""
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            location.addresses,
            sentinel_kwargs={
                **location.sentinel_options,
                "ssl": location.tls,
                "socket_connect_timeout": timeout.total_seconds(),
                "socket_timeout": timeout.total_seconds(),
                "protocol": 2,
                "retry": Retry(NoBackoff(), 0),
            },
        )
        self.asked_max = len(location.addresses)

    async def master(self) -> Address:
        sentinels: list[Any] = self._sentinel.sentinels
        problem: Exception | None = None
        for _ in range(self.asked_max):
            try:
                with translated():
                    host, port = await self._sentinel.discover_master(self._service)
                return Address(host, port)
            except MasterNotFoundError:  # whose message tells all about our connections
                break
            except (RedisError, OSError) as error:
                # redis-py passes over those alone that do not answer at all.
                sentinels.append(sentinels.pop(0))
                problem = error
        raise problem or MasterNotFoundError(f"no Sentinel that answers names a master of {self._service}")

    async def close(self) -> None:
        await self._sentinel.aclose()


class ClusterSlot:
    """Asks a few of the nodes that it knows, those last that did not answer. ``connect`` makes a connection that is not
    connected yet.
    """

    asked_max = _NODES_ASKED_MAX
    watched = False  # who does not own the slot says so, and who is cut off takes no writes

    def __init__(
        self,
        location: Location,
        *,
        tag: str,
        connect: Callable[[Address], AbstractConnection],
        timeout: timedelta,
    ) -> None:
        self._slot = key_slot(tag.encode())
        self._named = location.addresses
        self._nodes = list(location.addresses)
        self._connect = connect
        self._timeout = timeout

    async def master(self) -> Address:
        problem: Exception | None = None
        for node in self._nodes[:_NODES_ASKED_MAX]:
            try:
                owner = await self._owner(node)
            except (RedisError, OSError, TimeoutError) as error:
                self._nodes.remove(node)
                self._nodes.append(node)
                problem = error
            else:
                return owner
        assert problem is not None  # noqa: S101 - a URL names at least one
        raise problem

    async def close(self) -> None:
        """Nothing stays open."""

    async def _owner(self, node: Address) -> Address:
        found: Address | None = None
        nodes: dict[Address, None] = {}
        with translated():
            for first, last, master, *replicas in await self._ranges(node):
                if first <= self._slot <= last:
                    found = _address(master, node)
                nodes |= dict.fromkeys(_address(one, node) for one in (master, *replicas))
        if found is None:
            raise ClusterDownError(f"nobody serves slot {self._slot}")
        self._nodes = list(nodes | dict.fromkeys(self._named))
        return found

    async def _ranges(self, node: Address) -> Any:
        connection = self._connect(node)
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                await connection.connect()  # type: ignore[no-untyped-call]
                await connection.send_command("CLUSTER", "SLOTS")
                return await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)


def _address(told: Any, by: Address) -> Address:
    """A node that does not know its own name is to be reached as it was."""
    host, port = told[0], told[1]
    return Address(host.decode() if host and host != b"?" else by.host, port)
