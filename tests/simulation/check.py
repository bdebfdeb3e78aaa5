"""Checks seeds: with the engine as it is, or with a defect planted."""

import gc
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from tests.planted.defects import DEFECTS
from tests.simulation.world import Report, World


def simulated(seeds: Sequence[int], defect: str | None = None) -> list[Report]:
    """One after the other, in this process. Traces are kept of those that fail."""
    logging.getLogger("schedora").setLevel(logging.CRITICAL)  # the trace says it
    gc.freeze()  # what is there before is there after
    with planted(defect):
        return [World(seed).run().without_trace_if_well() for seed in seeds]


def first_broken(defect: str, seeds_max: int) -> Report | None:
    """Of the seeds from 0 on, the first in which this defect is found."""
    with planted(defect):
        reports = (World(seed).run() for seed in range(seeds_max))
        return next((report for report in reports if report.broken is not None), None)


def planted(defect: str | None) -> AbstractContextManager[None]:
    return nullcontext() if defect is None else DEFECTS[defect].planted()


def replay_command(seed: int, defect: str | None = None) -> str:
    told = f"--seed {seed}" + ("" if defect is None else f" --planted {defect}")
    return f'make simulate ARGS="{told}"'
