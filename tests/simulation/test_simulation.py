"""The whole engine under many seeds; what fails is replayed with one command."""

import logging
from collections import Counter

import pytest

from schedora.diagnosis.why import explanation as why
from schedora.diagnosis.why.reason import BLOCKING, Reason, ReasonCode
from tests.simulation.check import replay_command
from tests.simulation.invariants import Seen
from tests.simulation.network import Trouble
from tests.simulation.timetable import Mishap, Order
from tests.simulation.world import World

SLICE = range(100)
TRACE_LINES = 60
RESTS = BLOCKING - {ReasonCode.NO_WORKERS, ReasonCode.QUEUE_NOT_SERVED}
"""In a simulation there are workers once troubles are over, and for each queue."""
pytestmark = pytest.mark.no_cover  # tracing would take most of the time; unit tests run these lines as well


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)


def test_every_invariant_holds_and_every_fault_strikes() -> None:
    struck: Counter[str] = Counter()
    rested: Counter[ReasonCode] = Counter()
    fenced = 0
    for seed in SLICE:
        report = World(seed).run()
        if report.broken is not None:
            end = "\n".join(report.trace[-TRACE_LINES:])
            pytest.fail(f"seed {seed}: {report.broken}\n{end}\n{replay_command(seed)}", pytrace=False)
        struck += report.struck
        rested += report.rested
        fenced += report.fenced
    assert fenced >= len(SLICE) / 2
    assert rested.keys() == RESTS
    assert {what for what in (*Trouble, *Mishap, *Order) if not struck[what]} == set()


def test_a_reason_that_is_not_told_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        why, "_nobody_takes_it", lambda _facts: Reason(code=ReasonCode.READY, message="ready")
    )
    reports = (World(seed).run() for seed in SLICE)
    broken = next(report.broken for report in reports if report.broken is not None)
    assert broken.invariant == Seen.SETTLED
    assert "and it is said that" in broken.told
