"""Outcomes on their way to settlement."""

import asyncio

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.pipeline import outcomes as outcomes_module
from schedora.application.pipeline.completion_buffer import CompletionBuffer
from schedora.application.pipeline.outcomes import Ended, Outcomes
from schedora.application.pipeline.settle import Settle
from schedora.application.pipeline.store_time import StoreTime
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Outcome, Released, Succeeded
from tests.builders import SECOND, a_claimed_job
from tests.unit.application.bench import DOWN


class Queues:
    """The outcomes, and the completions that come after them."""

    def __init__(self) -> None:
        self.settle = Settle(
            store_time=StoreTime(VirtualClock()), unit_random=lambda: 0.5, worker_deaths_max=3
        )
        self.completions = CompletionBuffer(self.settle)
        self.changed = asyncio.Event()
        self.outcomes = Outcomes(self.completions, self.changed)

    def settle_all(self) -> None:
        for job, _, outcome, at in self.outcomes.take_all():
            self.completions.put(job, self.settle(job, outcome, started_at=job.started_at, at=at), at)


def a_result(characters: int) -> Outcome:
    return Succeeded(result=JsonText("1" * characters))


@pytest.fixture
def queues() -> Queues:
    return Queues()


def test_outcomes_are_taken_once_and_in_order(queues: Queues) -> None:
    jobs = [a_claimed_job() for _ in range(3)]
    released = Released(reason="no room")
    for job in jobs:
        queues.outcomes.put(job, None, released, SECOND)
    assert queues.changed.is_set()
    assert len(queues.outcomes) == 3
    assert queues.outcomes.leases() == {job.lease_id for job in jobs}
    assert queues.outcomes.job_ids() == {job.job_id for job in jobs}
    assert queues.outcomes.take_all() == [Ended(job, None, released, SECOND) for job in jobs]
    assert queues.outcomes.take_all() == []
    assert (len(queues.outcomes), queues.outcomes.leases(), queues.outcomes.job_ids()) == (0, set(), set())


def test_results_count_here_and_in_the_next_queue(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes_module, "FULL_CHARACTERS", 20)
    full = []
    for outcome in (DOWN, Succeeded(), a_result(10)):
        queues.outcomes.put(a_claimed_job(), None, outcome, SECOND)
        full.append(queues.outcomes.full)
    assert full == [False, False, False]
    queues.settle_all()
    full = [queues.outcomes.full]
    for characters in (9, 1):
        queues.outcomes.put(a_claimed_job(), None, a_result(characters), SECOND)
        full.append(queues.outcomes.full)
    queues.settle_all()
    full.append(queues.outcomes.full)
    batch = queues.completions.take_standalone()
    queues.completions.delivered(batch, {completion.lease_id for completion in batch})
    full.append(queues.outcomes.full)
    assert full == [False, False, True, True, False]
