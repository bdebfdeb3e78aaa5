"""Counts of all processes together, kept in the store, so that they outlive each of them."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Series(NamedTuple):
    """One time series. A histogram is kept as one series per bucket (``le`` among its labels), ``_sum`` and
    ``_count``.
    """

    name: str
    labels: tuple[tuple[str, str], ...]


class SharedCounters(Protocol):
    async def add(self, increments: Mapping[Series, float]) -> None: ...

    async def read(self) -> Mapping[Series, float]: ...
