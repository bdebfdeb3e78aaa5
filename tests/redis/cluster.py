"""A real Redis Cluster."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.programs import until
from tests.redis.servers import Port, RedisServer

SLOTS = range(16384)
BUS = 10_000
"""Nodes talk with each other on the port that lies so far above their own."""


class RedisCluster:
    """Three masters that share the slots. No replica: what a killed one held can't be had until it is back."""

    def __init__(self, directory: Path) -> None:
        self._buses: list[Port] = []
        self.nodes = [
            RedisServer(
                directory / f"node-{n}", "cluster-enabled yes", "cluster-node-timeout 1000", port=self._port()
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

    def holder(self, key: str) -> RedisServer:
        """The node that has ``key``."""
        slot = int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key))
        return self.nodes[slot % len(self.nodes)]
