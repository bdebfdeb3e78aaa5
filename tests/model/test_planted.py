"""Of the planted defects, those that can be seen where one transaction follows another are found, each by what it breaks."""

import pytest

from tests.model.check import first_broken
from tests.planted.defects import DEFECTS
from tests.planted.expected import MODEL, OUT_OF_SIGHT, STATES_MAX

pytestmark = pytest.mark.no_cover  # tracing would take most of the time; unit tests run these lines as well


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", MODEL)
def test_a_planted_defect_is_found(name: str) -> None:
    sought = MODEL[name]
    broken = first_broken(name, sought.situation)
    assert broken is not None, f"not in {sought.situation}"
    assert broken.invariant == sought.invariant, broken
    assert broken.states <= STATES_MAX


def test_every_planted_defect_is_found_or_out_of_sight() -> None:
    assert sorted([*MODEL, *OUT_OF_SIGHT]) == sorted(DEFECTS)
