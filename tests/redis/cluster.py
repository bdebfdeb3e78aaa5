"""A real Redis Cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.programs import until
from tests.redis.servers import Port, RedisServer

SLOTS = range(16384)
PATIENCE_MS = 30_000
"""How long a node may be silent until the others say that it is down: a machine that is busy with tests is slow."""
BUS = 10_000
"""Nodes talk with each other on the port that lies so far above their own."""


class RedisCluster:
    """Three masters that share the slots. No replica: what a killed one held can't be had until it is back."""

    def __init__(self, directory: Path) -> None:
        self._buses: list[Port] = []
        self.nodes = [
            RedisServer(
                directory / f"node-{n}",
                "cluster-enabled yes",
                f"cluster-node-timeout {PATIENCE_MS}",
                port=self._port(),
            )
            for n in range(3)
        ]

    def _port(self) -> Port:
        """One whose bus is free as well."""
        while True:
            port = Port()
            try:
                self._buses.append(Port(port.number + BUS))
            except (OSError, OverflowError):
                port.release()
            else:
                return port

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        """Returns once all slots are served: a node takes two seconds before it takes writes."""
        with ExitStack() as stack:
            for bus in self._buses:
                stack.callback(bus.release)
            first, *others = (stack.enter_context(node) for node in self.nodes)
            for n, node in enumerate(self.nodes):
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
                node.ask("CLUSTER", "ADDSLOTS", *SLOTS[n :: len(self.nodes)])
            for node in others:
                node.ask("CLUSTER", "MEET", "127.0.0.1", first.port)
            self.await_sound()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def await_sound(self) -> None:
        """Until each node knows all others and finds that all slots are served."""
        until(lambda: all(self._sound(node) for node in self.nodes), "the Cluster to be sound")

    def _sound(self, node: RedisServer) -> bool:
        told = node.ask("CLUSTER", "INFO")
        return "cluster_state:ok" in told and f"cluster_size:{len(self.nodes)}" in told

    def repair(self) -> None:
        """Starts what does not run. Returns once all is as it was at first; who has which slot may have changed."""
        for node in self.nodes:
            if not node.runs:
                node.start()
        self.await_sound()
        for node in self.nodes:
            node.empty()

    @contextmanager
    def incomplete(self, key: str) -> Iterator[None]:
        """Within it the node that has ``key`` finds that nobody serves another slot: the Cluster is down to it."""
        holder, slot = self.holder(key), self._slot(key)
        own = (first for first, port in self._ranges(holder) if port == holder.port and first != slot)
        other = next(own)
        holder.ask("CLUSTER", "DELSLOTS", other)
        yield
        holder.ask("CLUSTER", "ADDSLOTS", other)

    def holder(self, key: str) -> RedisServer:
        """The node that has ``key``."""
        asked = next(node for node in self.nodes if node.runs)
        slot = self._slot(key)
        port = next(port for first, port in reversed(self._ranges(asked)) if first <= slot)
        return next(node for node in self.nodes if node.port == port)

    def _slot(self, key: str) -> int:
        asked = next(node for node in self.nodes if node.runs)
        return int(asked.ask("CLUSTER", "KEYSLOT", key))

    def _ranges(self, asked: RedisServer) -> list[tuple[int, int]]:
        """The first slot of each, in order, and the port of the node that has it."""
        return sorted((first, master[1]) for first, _last, master, *_ in asked.ask("CLUSTER", "SLOTS"))
