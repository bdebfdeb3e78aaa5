"""The simulation finds each planted defect, by the invariant that it breaks: else that it finds none would mean nothing."""

import logging

import pytest

from tests.planted.defects import DEFECTS
from tests.planted.expected import EXPECTED, SEEDS_MAX
from tests.simulation.check import first_broken, replay_command
from tests.simulation.world import World

pytestmark = pytest.mark.no_cover  # tracing would take most of the time; unit tests run these lines as well


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)


def test_every_defect_is_expected_to_be_found() -> None:
    assert EXPECTED.keys() == DEFECTS.keys()


@pytest.mark.parametrize("name", DEFECTS)
def test_planted_defect_is_found(name: str) -> None:
    report = first_broken(name, SEEDS_MAX)
    assert report is not None, f"not in {SEEDS_MAX} seeds"
    assert report.broken is not None
    assert report.broken.invariant in EXPECTED[name], f"{report.broken}\n{replay_command(report.seed, name)}"


def test_nothing_of_a_defect_is_left() -> None:
    for defect in DEFECTS.values():
        with defect.planted():
            pass
    assert World(0).run().broken is None
