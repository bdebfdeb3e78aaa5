"""That all comes to an end by itself: without an operator, without another fault, and without a handler that puts off for ever."""

from collections import deque
from itertools import pairwise

from tests.model.invariants import Seen
from tests.model.moves import Kind, moves
from tests.model.search import Broken, Space


def check(space: Space) -> int:
    """After how many steps at most all has ended, wherever it stands. Raises ``Broken``.

    Of every state it must hold that nothing but an end is left when nothing goes on by itself, and that nothing which goes on by
    itself comes back to where it was: then each way of going on leads to an end, and so does every fair one.
    """
    onward: list[list[int]] = [[] for _ in space.systems]
    for edge in space.edges:
        if edge.kind is Kind.PROGRESS:
            onward[edge.source].append(edge.target)
    for number, system in enumerate(space.systems):
        if not onward[number] and not system.settled:
            told = f"{Seen.ENDS}: nothing goes on by itself, and not all has ended"
            raise Broken(space, [told], space.way_to(number))
    return _longest(space, onward)


def _longest(space: Space, onward: list[list[int]]) -> int:
    """The length of the longest way, found from its end (Kahn, 1962)."""
    comes_from: list[list[int]] = [[] for _ in onward]
    left = [len(targets) for targets in onward]
    for source, targets in enumerate(onward):
        for target in targets:
            comes_from[target].append(source)
    ready = deque(number for number, count in enumerate(left) if count == 0)
    length = [0] * len(onward)
    seen = 0
    while ready:
        number = ready.popleft()
        seen += 1
        for source in comes_from[number]:
            length[source] = max(length[source], length[number] + 1)
            left[source] -= 1
            if left[source] == 0:
                ready.append(source)
    if seen < len(onward):
        told = f"{Seen.ENDS}: it may go on for ever by itself:"
        raise Broken(space, [told, *_round(space, onward, left)], "at first")
    return max(length)


def _round(space: Space, onward: list[list[int]], left: list[int]) -> list[str]:
    """A way that comes back to where it was, among the states that have some way left."""
    number = next(number for number, count in enumerate(left) if count)
    walked: dict[int, int] = {}
    while number not in walked:
        walked[number] = len(walked)
        number = next(target for target in onward[number] if left[target])
    around = list(walked)[walked[number] :]
    lines = []
    for source, target in pairwise([*around, number]):
        key = space.systems[target].key()
        told = next(
            move.told
            for move in moves(space.situation, space.systems[source])
            if move.kind is Kind.PROGRESS and move.after.forgetting().key() == key
        )
        lines.append(f"{told}: {space.systems[target].told()}")
    return [*space.way_to(around[0]).splitlines(), "and from there, again and again", *lines]
