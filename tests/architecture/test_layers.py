"""The folders are the architecture; what may know what is a test, not a wish."""

import sys
from pathlib import Path

import pytest

from tests.architecture.source import LAYERS, PACKAGE, imports, modules, name_of

OPEN_TO_RULES = sys.stdlib_module_names | {"attrs", "schedora"}
NEITHER_CLOCK_NOR_CHANCE_NOR_IO = {
    "asyncio", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "selectors",
    "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib",
}  # fmt: skip


def test_top_level_is_the_layers_and_nothing_else() -> None:
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(LAYERS)


@pytest.mark.parametrize("path", [*modules("domain"), *modules("diagnosis")], ids=name_of)
def test_rules_import_only_what_is_on_their_list(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert tops <= OPEN_TO_RULES - NEITHER_CLOCK_NOR_CHANCE_NOR_IO


@pytest.mark.parametrize("path", [path for layer in LAYERS for path in modules(layer)], ids=name_of)
def test_imports_run_downwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0]
    below = set(LAYERS[: LAYERS.index(own) + 1])
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "schedora" and len(parts) > 1 and parts[1] in LAYERS:
            assert parts[1] in below, f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_dependency_injector_lives_in_the_container(path: Path) -> None:
    if "dependency_injector" in {name.split(".")[0] for name in imports(path)}:
        assert path.parent == PACKAGE / "entrypoints" / "container"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_nothing_is_ever_unpickled(path: Path) -> None:
    assert not {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & {
        name.split(".")[0] for name in imports(path)
    }
