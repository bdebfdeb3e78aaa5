"""Checks a situation with a defect planted."""

from tests.model import liveness
from tests.model.search import Broken, explore
from tests.model.situations import SITUATIONS
from tests.planted.defects import DEFECTS


def first_broken(defect: str, situation: str) -> Broken | None:
    """The first state or move in which this defect is found, by breadth."""
    with DEFECTS[defect].planted():
        try:
            liveness.check(explore(SITUATIONS[situation]))
        except Broken as broken:
            return broken
    return None
