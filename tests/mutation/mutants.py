"""What a mutant is called, what has become of it, and how many were found."""

from collections import Counter
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

from attrs import frozen
from mutmut.stats import status_by_exit_code


class Verdict(IntEnum):
    """How a process ends in which a mutant was tried: by these exit statuses mutmut knows it."""

    SURVIVED = 0
    KILLED = 1
    NO_TESTS = 33
    HANGS = 36


FOUND = frozenset({"killed", "timeout"})
"""One that never ends is found, too: its tests hang."""
UNTRIED = "not checked"


@frozen
class Mutant:
    """``name`` is mutmut's; ``status`` one of its words."""

    name: str
    status: str

    @classmethod
    def ended(cls, name: str, exit_status: int | None) -> "Mutant":
        """``None``: it was not tried yet."""
        return cls(name, status_by_exit_code[exit_status])

    @property
    def module(self) -> str:
        """``schedora/diagnosis/doctor/claim.py``."""
        return f"{self._parts[0].replace('.', '/')}.py"

    @property
    def function(self) -> str:
        """``ClaimPlan.findings``."""
        return self._parts[1].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")

    @property
    def mangled(self) -> str:
        """Its function, as mutmut calls it: ``schedora.diagnosis.doctor.claim.xǁClaimPlanǁfindings``."""
        return ".".join(self._parts)

    @property
    def is_found(self) -> bool:
        return self.status in FOUND

    def is_of(self, tests: str) -> bool:
        """Whether its module is what the tests in a file of this name are for: ``test_worker_drain.py``."""
        return tests.startswith(f"test_{Path(self.module).stem}")

    @property
    def _parts(self) -> tuple[str, str]:
        module, _, mangled = self.name.rpartition(".")
        return module, mangled.partition("__mutmut_")[0]


def counted(mutants: Iterable[Mutant]) -> Counter[str]:
    return Counter(one.status for one in mutants)


def score(mutants: Sequence[Mutant]) -> float:
    """The part of them that tests have found. Where there are none, nothing was tried, and nothing found."""
    return sum(one.is_found for one in mutants) / len(mutants) if mutants else 0.0
