"""Docstrings give promises: every module says its subject, every port and public function what holds."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import RULES, modules, name_of, tree


@pytest.mark.parametrize("path", [p for p in modules() if p.name != "__init__.py"], ids=name_of)
def test_each_module_says_its_subject(path: Path) -> None:
    assert ast.get_docstring(tree(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_public_functions_of_the_rules_say_what_holds(path: Path) -> None:
    silent = [
        node.name
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert not silent
