"""Whatever a check may find is told in the cases of some test here."""

import importlib
import pkgutil
from pathlib import Path

from schedora.diagnosis import doctor as checks
from schedora.diagnosis.doctor.finding import FindingType


def test_each_finding_type_is_told() -> None:
    known = {
        value.code
        for found in pkgutil.iter_modules(checks.__path__)
        for value in vars(importlib.import_module(f"{checks.__name__}.{found.name}")).values()
        if isinstance(value, FindingType)
    }
    tests = [
        importlib.import_module(f"{__package__}.{path.stem}")
        for path in Path(__file__).parent.glob("test_*.py")
    ]
    assert {code for test in tests for _, told in getattr(test, "CASES", ()) for code, *_ in told} == known
