"""``docs/doctor.md`` against the finding types of the checks."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

from schedora.diagnosis import doctor as checks
from schedora.diagnosis.doctor.finding import FindingType
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "doctor.md"


def modules() -> list[ModuleType]:
    return [
        importlib.import_module(f"{checks.__name__}.{module.name}")
        for module in pkgutil.iter_modules(checks.__path__)
    ]


def finding_types() -> Iterator[FindingType]:
    for module in modules():
        yield from known(module)


def known(module: ModuleType) -> list[FindingType]:
    """Its own: one may tell of another's."""
    return [
        value
        for name, value in vars(module).items()
        if isinstance(value, FindingType) and f"\n{name} = FindingType(" in inspect.getsource(module)
    ]


def rows() -> list[dict[str, str]]:
    """Of all tables: there is one for each module that knows any."""
    tables = sum(bool(known(module)) for module in modules())
    return [row for nth in range(tables) for row in table(PAGE, "code", nth=nth)]


def test_every_code_is_told_with_its_consequence_and_its_fix() -> None:
    told = {row["code"]: (row["consequence"], row["fix"]) for row in rows()}
    assert told == {
        finding_type.code: (
            finding_type.consequence,
            re.sub(r"\{(\w+)(?:!\w)?\}", lambda found: found[1].upper(), finding_type.fix),
        )
        for finding_type in finding_types()
    }
    assert len(told) == len(rows())
    assert all(row["when"] for row in rows())
