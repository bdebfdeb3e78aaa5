"""``docs/reliability.md`` tells what is checked, and no more."""

from schedora_torture import invariants
from tests.docs.pages import ROOT, said_of, table

PAGE = ROOT / "docs" / "reliability.md"


def test_every_invariant_is_told_as_the_code_says_it() -> None:
    assert {row["invariant"]: row["what holds"] for row in table(PAGE, "invariant")} == said_of(
        invariants.Invariant
    )
