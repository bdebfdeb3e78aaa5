"""What a scenario is: cases that systems go through in turn, and the figures that each round yields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from benchmarks.bench import Bench
    from benchmarks.systems.catalogue import Role, System

Round = Callable[[], Mapping[str, float]]
"""Measures once: figures by the keys of the scenario's metrics."""


@frozen(kw_only=True)
class Metric:
    """One thing measured."""

    key: str
    title: str
    digits: int = 0
    more_is_better: bool = True


@frozen(kw_only=True)
class Case:
    """One way in which a system is driven in a scenario."""

    name: str
    against: str | None = None
    """The case to which its ratio is told, taken in each round by itself."""


class Scenario(Protocol):
    """One question."""

    @property
    def name(self) -> str: ...

    @property
    def question(self) -> str: ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The headline first; it is the one that ratios are taken of."""
        ...

    @property
    def verbs(self) -> frozenset[str]:
        """What a driver must know."""
        ...

    @property
    def roles(self) -> frozenset[Role]:
        """Who takes part unless systems are named."""
        ...

    def cases(self, system: System) -> tuple[Case, ...]: ...

    def prepared(self, bench: Bench, system: System, case: Case) -> AbstractContextManager[Round]:
        """Make what all rounds share. Raises Unable and Broken, as its rounds do."""
        ...
