"""The whole engine under many seeds; what fails is replayed with one command."""

import logging
from collections import Counter

import pytest

from tests.simulation.check import replay_command
from tests.simulation.network import Trouble
from tests.simulation.timetable import Mishap, Order
from tests.simulation.world import World

SLICE = range(100)
TRACE_LINES = 60
pytestmark = pytest.mark.no_cover  # tracing would take most of the time; unit tests run these lines as well


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)


def test_every_invariant_holds_and_every_fault_strikes() -> None:
    struck: Counter[str] = Counter()
    fenced = 0
    for seed in SLICE:
        report = World(seed).run()
        if report.broken is not None:
            end = "\n".join(report.trace[-TRACE_LINES:])
            pytest.fail(f"seed {seed}: {report.broken}\n{end}\n{replay_command(seed)}", pytrace=False)
        struck += report.struck
        fenced += report.fenced
    assert fenced > 0
    assert {what for what in (*Trouble, *Mishap, *Order) if not struck[what]} == set()
