"""``docs/reliability.md`` tells what is checked, and no more."""

import ast
import inspect
from itertools import pairwise

from schedora.domain import invariants
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "reliability.md"


def test_every_invariant_is_told_as_the_code_says_it() -> None:
    body = ast.parse(inspect.getsource(invariants.Invariant)).body[0]
    assert isinstance(body, ast.ClassDef)
    said = {
        ast.literal_eval(name.value): " ".join(ast.literal_eval(text.value).split()).replace("``", "")
        for name, text in pairwise(body.body)
        if isinstance(name, ast.Assign) and isinstance(text, ast.Expr)
    }
    assert set(said) == set(invariants.Invariant)
    assert {row["invariant"]: row["what holds"] for row in table(PAGE, "invariant")} == said
