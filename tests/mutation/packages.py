"""What is mutated, by which tests a mutant is to be found, and how many must be."""

from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path("src")


@frozen(kw_only=True)
class Package:
    """``folder`` is below the source, ``only`` a pattern of its files; ``killed_min``: which part of its mutants the
    tests must find."""

    folder: str
    tests: str
    killed_min: float
    only: str = "*.py"

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]


PACKAGES = (
    Package(folder="schedora/domain", tests="tests/unit/domain", killed_min=0.95),
    Package(folder="schedora/diagnosis", tests="tests/unit/diagnosis", killed_min=0.95),
    Package(
        folder="schedora_torture",
        tests="tests/unit/torture/test_invariants.py",
        only="invariants.py",
        killed_min=0.95,
    ),
    Package(
        folder="schedora/application/telemetry", tests="tests/unit/application/telemetry", killed_min=0.85
    ),
    Package(
        folder="schedora/application/maintenance", tests="tests/unit/application/maintenance", killed_min=0.85
    ),
    Package(folder="schedora/application/pipeline", tests="tests/unit/application/pipeline", killed_min=0.85),
)
