"""The graph of a workflow's jobs: who waits for whom. Nodes are keys or ids; edges run from cause to effect."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from schedora.domain.errors import CycleFound, DuplicateKey, UnknownKey

N = TypeVar("N")


class Graph(Generic[N]):
    """An acyclic graph given by what each node depends on.

    Raises ``UnknownKey`` for a dependency that is no node and ``CycleFound`` with the path of a cycle; a
    dependency on itself is a cycle of length one.
    """

    def __init__(self, depends_on: Mapping[N, Sequence[N]]) -> None:
        self._depends_on = {node: tuple(upstream) for node, upstream in depends_on.items()}
        self._dependants: dict[N, list[N]] = {node: [] for node in depends_on}
        for node, upstream in self._depends_on.items():
            for cause in upstream:
                if cause not in self._dependants:
                    raise UnknownKey(str(node), str(cause))
                self._dependants[cause].append(node)
        self.order = self._ordered()

    def upstream(self, node: N) -> tuple[N, ...]:
        """What ``node`` depends on directly."""
        return self._depends_on[node]

    def dependants(self, node: N) -> tuple[N, ...]:
        """What depends on ``node`` directly."""
        return tuple(self._dependants[node])

    def roots(self) -> tuple[N, ...]:
        """The nodes that depend on nothing."""
        return tuple(node for node in self.order if not self._depends_on[node])

    def downstream(self, nodes: Iterable[N]) -> tuple[N, ...]:
        """All that depends on one of ``nodes``, directly or not, causes before effects."""
        reached: set[N] = set()
        frontier = deque(nodes)
        while frontier:
            for dependant in self._dependants[frontier.popleft()]:
                if dependant not in reached:
                    reached.add(dependant)
                    frontier.append(dependant)
        return tuple(node for node in self.order if node in reached)

    def _ordered(self) -> tuple[N, ...]:
        """Causes before effects (Kahn, 1962); what is left over contains a cycle."""
        waits_for = {node: len(upstream) for node, upstream in self._depends_on.items()}
        ready = deque(node for node, count in waits_for.items() if count == 0)
        order: list[N] = []
        while ready:
            node = ready.popleft()
            order.append(node)
            for dependant in self._dependants[node]:
                waits_for[dependant] -= 1
                if waits_for[dependant] == 0:
                    ready.append(dependant)
        if len(order) < len(waits_for):
            raise CycleFound([str(node) for node in self._cycle(set(waits_for) - set(order))])
        return tuple(order)

    def _cycle(self, leftover: set[N]) -> list[N]:
        """A path that ends where it begins, along the edges from cause to effect."""
        # Each leftover node depends on another leftover node, so walking causes must come round.
        node = next(node for node in self._depends_on if node in leftover)
        walked: dict[N, int] = {}
        path: list[N] = []
        while node not in walked:
            walked[node] = len(path)
            path.append(node)
            node = next(cause for cause in self._depends_on[node] if cause in leftover)
        return [node, *reversed(path[walked[node] :])]


def unique_keys(keys: Iterable[str]) -> None:
    """Raises ``DuplicateKey`` for the first key that comes twice."""
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise DuplicateKey(key)
        seen.add(key)
