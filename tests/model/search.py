"""Every state that can be reached, by breadth: so the way to each is the shortest, and what is wrong with one is told with it."""

from collections import Counter, deque
from collections.abc import Hashable, Iterator

from attrs import define, field, frozen

from schedora.adapters.memory.workflows import with_live_counts
from schedora.domain.job_state import JobState
from schedora_torture import invariants
from schedora_torture.invariants import Terms
from tests.model.invariants import Seen
from tests.model.moves import Kind, Move, moves
from tests.model.situations import Situation
from tests.model.store import tables_of
from tests.model.system import System

MoveOfJob = tuple[JobState, JobState]
ALIKE_EVERY = 101
"""Of so many times that a state is met again, once it is looked whether it goes on as it did when it was met first."""


@frozen
class Edge:
    """A move from one state to another, by their numbers."""

    source: int
    target: int
    kind: Kind


@define
class Space:
    """All that was found. States are numbered in the order in which they were met."""

    situation: Situation
    systems: list[System] = field(factory=list)
    edges: list[Edge] = field(factory=list)
    ways: list[tuple[int, str] | None] = field(factory=list)
    """From which state, and by what, each was met first."""
    job_moves: Counter[MoveOfJob] = field(factory=Counter)

    def way_to(self, number: int, *, then: str = "") -> str:
        """The shortest, a line for each step."""
        lines = [then] if then else []
        while (came := self.ways[number]) is not None:
            lines.append(f"{came[1]}: {self.systems[number].told()}")
            number = came[0]
        lines.append(f"at first: {self.systems[number].told()}")
        return "\n".join(f"{index:3}. {line}" for index, line in enumerate(reversed(lines)))


class Broken(AssertionError):
    """Something does not hold, each told behind the name of an invariant. Tells the shortest way there, and how many states
    had been met by then.
    """

    def __init__(self, space: Space, what: list[str], way: str) -> None:
        self.what = what
        self.states = len(space.systems)
        super().__init__("\n".join([f"{space.situation.name}:", *what, "the shortest way there:", way]))

    @property
    def invariant(self) -> str:
        """The name of the first."""
        return self.what[0].partition(":")[0]


def explore(situation: Situation) -> Space:
    """Raises ``Broken`` for the first state, or the first move, in which something does not hold."""
    space = Space(situation)
    numbers: dict[Hashable, int] = {}
    beginning = situation.beginning()
    numbers[beginning.key()] = 0
    space.systems.append(beginning)
    space.ways.append(None)
    _check(space, 0)
    waiting = deque([0])
    met_again = 0
    while waiting:
        number = waiting.popleft()
        for move in moves(situation, space.systems[number]):
            _check_move(space, number, move)
            after = move.after.forgetting()
            key = after.key()
            target = numbers.get(key)
            if target is not None:
                met_again += 1
                if met_again % ALIKE_EVERY == 0:
                    _check_alike(space, target, number, move, after)
            else:
                target = numbers[key] = len(space.systems)
                space.systems.append(after)
                space.ways.append((number, move.told))
                _check(space, target)
                waiting.append(target)
            if target != number:
                space.edges.append(Edge(number, target, move.kind))
    return space


def violations(system: System, terms: Terms) -> Iterator[invariants.Violation]:
    """What can be said of the records and of the effects."""
    for job in system.jobs:
        yield from invariants.of_job(job, terms)
    if system.workflow is not None:
        workflow = with_live_counts(tables_of(system), system.workflow.workflow_id)
        yield from invariants.of_workflow(workflow, system.jobs, terms)
    committed = {effect.job_id for effect in system.committed}
    yield from invariants.of_effects(system.jobs, system.written, terms)
    yield from invariants.of_effects(
        [job for job in system.jobs if job.job_id in committed], system.committed, terms
    )


def _check(space: Space, number: int) -> None:
    terms = Terms(worker_deaths_max=space.situation.worker_deaths_max)
    if wrong := [str(violation) for violation in violations(space.systems[number], terms)]:
        raise Broken(space, wrong, space.way_to(number))


def _check_move(space: Space, number: int, move: Move) -> None:
    before = space.systems[number]
    changed = [
        (one, other) for one, other in zip(before.jobs, move.after.jobs, strict=True) if one is not other
    ]
    wrong = [*move.broken, *(str(found) for pair in changed for found in invariants.of_change(*pair))]
    if wrong:
        raise Broken(space, wrong, space.way_to(number, then=f"{move.told}: {move.after.told()}"))
    for job_before, job_after in changed:
        new = job_after.events()[len(job_before.events()) :]
        space.job_moves.update(
            (event.from_state, event.to_state) for event in new if event.from_state is not None
        )


def _check_alike(space: Space, known: int, number: int, move: Move, met: System) -> None:
    """What a key leaves out must decide nothing."""
    first, again = (_onward(space.situation, system) for system in (space.systems[known], met))
    if first != again:
        way = space.way_to(number, then=f"{move.told}: {met.told()}")
        differ = f"{Seen.KEY_DECIDES}: these two ways lead to one key, and go on differently:"
        raise Broken(space, [differ, space.way_to(known), "and"], way)


def _onward(situation: Situation, system: System) -> dict[Hashable, bool]:
    """Where else it may go, and whether by itself."""
    found: dict[Hashable, bool] = {}
    for move in moves(situation, system):
        key = move.after.forgetting().key()
        found[key] = found.get(key, False) or move.kind is Kind.PROGRESS
    found.pop(system.key(), None)
    return found
