"""What every system that can be measured must have beside it."""

import ast

import pytest
from benchmarks.systems.catalogue import Role, System, catalogue

PEERS = [system for system in catalogue().values() if system.role is Role.PEER]
VERBS_DRIVEN_BY = "benchmarks.systems.driving"


def test_every_peer_that_is_promised_is_there() -> None:
    assert {system.name for system in PEERS} == {
        "arq", "celery", "chancy", "dbos", "dramatiq", "oban", "pgqueuer", "procrastinate", "rq", "saq", "taskiq",
    }  # fmt: skip


@pytest.mark.parametrize("system", catalogue().values(), ids=lambda system: system.name)
def test_its_driver_compiles(system: System) -> None:
    source = system.driver.read_text(encoding="utf-8")
    compile(source, system.driver, "exec")


@pytest.mark.parametrize("system", PEERS, ids=lambda system: system.name)
def test_its_driver_is_timed_by_the_shared_lines(system: System) -> None:
    tree = ast.parse(system.driver.read_text(encoding="utf-8"))
    imported = {
        name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == VERBS_DRIVEN_BY
        for name in node.names
    }
    assert {"drive", "ready"} <= imported


@pytest.mark.parametrize("system", PEERS, ids=lambda system: system.name)
def test_it_is_told_with_which_settings_and_why(system: System) -> None:
    assert system.title
    assert system.settings
    for setting in system.settings:
        assert setting.what
        assert setting.why
        assert setting.source.startswith("https://")


@pytest.mark.parametrize("system", PEERS, ids=lambda system: system.name)
def test_what_it_lacks_is_told_from_its_documentation_or_its_code(system: System) -> None:
    for reason in system.lacks.values():
        claim, _, source = reason.removesuffix(")").rpartition(" (")
        assert claim
        assert source.startswith("https://") or source[0].isdigit(), (
            "the page, or the release and the function"
        )


@pytest.mark.parametrize("system", PEERS, ids=lambda system: system.name)
def test_its_requirements_are_pinned(system: System) -> None:
    lines = (system.folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines
    assert [line for line in lines if "==" not in line] == []


@pytest.mark.parametrize("system", catalogue().values(), ids=lambda system: system.name)
def test_no_folder_hides_the_package_of_its_name(system: System) -> None:
    assert not (system.folder / "__init__.py").exists()
