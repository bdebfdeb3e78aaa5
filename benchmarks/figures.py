"""Figures: what several rounds measured, summed up."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence


@frozen(kw_only=True)
class Figure:
    """A median with its spread."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Sum up one value a round. Raises ValueError when there is none."""
        if not values:
            raise ValueError("no round, no figure")
        return cls(median=median(values), least=min(values), most=max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank). Raises ValueError for none."""
    if not values:
        raise ValueError("no values, no percentile")
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
