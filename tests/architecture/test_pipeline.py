"""The pipeline stays a set of small stages: import-linter holds that none knows one that comes before it."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import modules, name_of, tree

STAGES = modules("application/pipeline")
LINES_MAX = 300
ARGUMENTS_MAX = 8
METHODS_MAX = 24


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_each_stage_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("path", STAGES, ids=name_of)
def test_constructors_take_few_arguments_and_classes_have_few_methods(path: Path) -> None:
    for found in ast.walk(tree(path)):
        if isinstance(found, ast.ClassDef):
            methods = [
                part for part in found.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            assert len(methods) <= METHODS_MAX, found.name
            for method in methods:
                if method.name == "__init__":
                    taken = [*method.args.args[1:], *method.args.kwonlyargs]
                    assert len(taken) <= ARGUMENTS_MAX, found.name
