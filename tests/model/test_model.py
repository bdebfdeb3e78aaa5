"""Every state of small systems, asked for everything that must hold."""

from collections.abc import Collection
from functools import cache

import pytest

from schedora.adapters.memory.jobs import MemoryJobStore
from schedora.domain.ids import JobId
from schedora.domain.job_state import MOVES
from tests.model import liveness
from tests.model.search import Broken, explore
from tests.model.situations import SITUATIONS, SMALL, Situation
from tests.model.system import System
from tests.tiers import nightly

AT_LEAST = {  # states, transitions: a model that has come to less has stopped to look
    "one job": (3_500, 45_000),
    "one job that is poison, one worker": (1_400, 10_000),
    "two steps, one worker": (1_000, 9_000),
    "two steps, within bounds": (1_500, 10_000),
    "two jobs and one behind both, no faults": (150, 800),
}
pytestmark = [
    pytest.mark.xdist_group("model"),
    pytest.mark.no_cover,  # tracing would take most of the time; unit tests run these lines as well
    pytest.mark.usefixtures("quiet"),
]  # found once, for all of them
EACH = [pytest.param(name, marks=nightly) if name == "one job" else name for name in SMALL]
"""The largest waits for the night; the others together go through every move."""
BY_DAY = [name for name in SMALL if name != "one job"]
found = cache(lambda name: explore(SITUATIONS[name]))


@pytest.mark.parametrize("name", EACH)
def test_everything_holds_in_every_state(name: str) -> None:
    space = found(name)
    states, transitions = AT_LEAST[name]
    assert len(space.systems) >= states
    assert len(space.edges) >= transitions


@pytest.mark.parametrize("name", EACH)
def test_all_ends_by_itself_from_every_state(name: str) -> None:
    assert 10 <= liveness.check(found(name)) <= 30


def test_every_move_of_the_table_was_taken() -> None:
    assert set().union(*(found(name).job_moves for name in BY_DAY)) == set(MOVES)


def test_what_does_not_hold_is_told_with_the_shortest_way_there(monkeypatch: pytest.MonkeyPatch) -> None:
    async def released_twice(store: MemoryJobStore, job_ids: Collection[JobId]) -> set[str]:
        await once(store, job_ids)
        return await once(store, job_ids)

    once = MemoryJobStore.release
    monkeypatch.setattr(MemoryJobStore, "release", released_twice)
    with pytest.raises(Broken, match="waits_for_counted") as caught:
        explore(SITUATIONS["two steps, one worker"])
    told = str(caught.value)
    assert "it waits for -1, and 0 that it depends on have not succeeded" in told
    assert told.splitlines()[-4:] == [
        "  1. w1 claims a: a=SCHEDULED b=PENDING",
        "  2. w1 begins a: a=SCHEDULED b=PENDING",
        "  3. w1 writes for a under token 1: a=SCHEDULED b=PENDING",
        "  4. w1 says that a has succeeded: a=SUCCESS b=PENDING",
    ]


def test_a_job_that_nobody_gives_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> list[object]:
        return []

    monkeypatch.setattr("tests.model.moves.MemoryWorkers.lost_jobs", nothing)
    space = explore(Situation(name="no rescue", edges=((),), max_retries=0, workers=1, faults=1, requests=0))
    with pytest.raises(Broken, match="nothing goes on by itself, and not all has ended"):
        liveness.check(space)


def test_a_job_that_goes_round_for_ever_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedora.domain.retry.RetryPolicy.retries_left", lambda *_: True)
    monkeypatch.setattr("tests.model.search.violations", lambda *_: iter(()))
    monkeypatch.setattr("tests.model.system.System._job_key", _without_retries)
    space = explore(
        Situation(name="retried for ever", edges=((),), max_retries=0, workers=1, faults=0, requests=0)
    )
    with pytest.raises(Broken, match="again and again"):
        liveness.check(space)


def _without_retries(system: System, index: int, ranks: dict[object, int]) -> tuple[object, ...]:
    job = system.jobs[index]
    return job.status, bool(job.history), ranks[job.lease_token], ranks[system.kept_tokens[index]]
