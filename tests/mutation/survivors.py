"""Survivors that nobody has to look at again: the decision names each function that has some, and says why."""

from collections import Counter
from collections.abc import Iterable

from attrs import frozen

from tests.docs.pages import table
from tests.mutation.mutants import UNTRIED, Mutant
from tests.mutation.packages import ROOT

DECISION = ROOT / "docs" / "decisions" / "0028-mutation-tests.md"


@frozen(kw_only=True)
class Named:
    """So many of a function's mutants may survive."""

    module: str
    function: str
    survivors: int
    reason: str


def named() -> list[Named]:
    return [
        Named(
            module=row["module"], function=row["function"], survivors=int(row["survivors"]), reason=row["why"]
        )
        for row in table(DECISION, "module")
    ]


def unnamed(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Survivors of functions of which more survive than the decision has reasons for."""
    left = [one for one in mutants if not one.is_found and one.status != UNTRIED]
    allowed = Counter({(one.module, one.function): one.survivors for one in named()})
    found = Counter((one.module, one.function) for one in left)
    return [one for one in left if found[one.module, one.function] > allowed[one.module, one.function]]
