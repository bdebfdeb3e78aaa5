"""What is said of survivors is said of functions that there are."""

import ast
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.mutation.mutants import Mutant, counted, score
from tests.mutation.packages import PACKAGES, ROOT, SOURCE, Package
from tests.mutation.survivors import Named, named, unnamed


def functions(module: str) -> Iterator[str]:
    """Those at the top of a module, and the methods of its classes, as mutmut names them."""
    for node in ast.parse((ROOT / SOURCE / module).read_text()).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.ClassDef():
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        yield f"{node.name}.{inner.name}"


@pytest.mark.parametrize("one", named(), ids=lambda one: f"{one.module}:{one.function}")
def test_each_survivor_that_is_named_is_of_a_function_that_there_is(one: Named) -> None:
    assert one.function in functions(one.module)
    assert one.survivors > 0
    assert one.reason
    assert any(one.module.startswith(f"{package.folder}/") for package in PACKAGES)


def test_each_function_is_named_once() -> None:
    assert max(Counter((one.module, one.function) for one in named()).values()) == 1


def test_a_function_of_which_more_survive_than_is_said_is_told() -> None:
    one = named()[0]
    module = one.module.removesuffix(".py").replace("/", ".")
    mangled = f"xǁ{one.function.replace('.', 'ǁ')}" if "." in one.function else f"x_{one.function}"
    mutants = [Mutant(f"{module}.{mangled}__mutmut_{n}", "survived") for n in range(one.survivors)]
    killed = Mutant(f"{module}.{mangled}__mutmut_98", "killed")
    assert (killed.module, killed.function) == (one.module, one.function)
    assert unnamed([*mutants, killed]) == []
    more = [*mutants, Mutant(f"{module}.{mangled}__mutmut_99", "no tests")]
    assert unnamed([*more, killed]) == more


def test_the_tests_of_its_module_are_known_by_their_names() -> None:
    mutant = Mutant("schedora.application.pipeline.worker.x_f__mutmut_1", "survived")
    assert mutant.is_of("test_worker.py")
    assert mutant.is_of("test_worker_drain.py")
    assert not mutant.is_of("test_slots.py")


def test_what_hangs_is_found_and_what_no_test_runs_is_not() -> None:
    mutants = [
        Mutant(f"schedora.domain.job.x_f__mutmut_{number}", status)
        for number, status in enumerate(("killed", "timeout", "survived", "no tests"))
    ]
    assert score(mutants) == 0.5
    assert counted(mutants)["no tests"] == 1
    assert score([]) == 0.0, "a run that tries nothing finds nothing"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_package_and_its_tests_are_there(package: Package) -> None:
    assert (ROOT / SOURCE / package.folder).is_dir()
    assert (ROOT / package.tests).exists()
