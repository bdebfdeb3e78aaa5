"""How much of the suite runs: ``TEST_TIER`` is ``unit``, ``test`` or ``nightly``, and each holds the one before it.

A test marked ``nightly`` runs in that tier alone. It repeats, at length, what a quick test of the same kind finds.
"""

import os
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final

import pytest


class Tier(StrEnum):
    """From the quickest to the whole."""

    UNIT = "unit"
    TEST = "test"
    NIGHTLY = "nightly"


TIER: Final = Tier(os.environ.get("TEST_TIER", Tier.TEST))
NIGHTLY: Final = "nightly"
"""The name of the marker."""

UNMEASURED: Final = frozenset({"acceptance", "benchmarks", "docs", "e2e", "examples", "model", "simulation"})
"""Folders whose tests run without coverage. What they drive runs in processes of their own, or is measured by the tests
of its own folder too; measuring it takes as long as running it."""

nightly: Final = pytest.mark.nightly
"""For a test that another stands for."""


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Values of one parameter: of every so many, all but the first are marked ``nightly``."""
    return [
        case
        if index % every == 0
        else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=nightly)
        for index, case in enumerate(cases)
    ]
