import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from schedora.entrypoints.cli.loading import WrongApp, load_app
from schedora.entrypoints.settings import WrongSettings

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Puts a module into the current directory; answers its name, which no other test uses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def put(code: str) -> str:
        name = f"tasks_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield put
    for name in set(sys.modules) - known:
        del sys.modules[name]


def reason(target: str) -> str:
    with pytest.raises(WrongApp) as raised:
        load_app(target)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_without_a_target_there_are_the_built_in_handlers() -> None:
    assert set(load_app(None).handlers) == {"echo", "sleep", "fail"}


def test_an_app_is_found_in_the_current_directory(write: Write, tmp_path: Path) -> None:
    name = write("import schedora\napp = schedora.Schedora()\n@app.job('mine')\ndef mine(): ...\n")
    assert "mine" in load_app(f"{name}:app").handlers
    assert sys.path[0] == str(tmp_path)
    load_app(f"{name}:app")
    assert sys.path.count(str(tmp_path)) == 1


def test_an_app_may_be_the_attribute_of_something(write: Write) -> None:
    name = write("import schedora\nclass shop:\n    app = schedora.Schedora()\n")
    assert "echo" in load_app(f"{name}:shop.app").handlers


@pytest.mark.parametrize(
    "target", ["", "tasks", ":app", "tasks:", "tasks:app:x", "tasks.py:app", "a b:c", "tasks:a-b"]
)
def test_another_form_is_refused(target: str) -> None:
    assert (
        reason(target) == f"{target!r} is not of the form MODULE:APP, like shop.tasks:app"
        or "tasks.py" in target
    )


def test_a_module_that_is_not_there(write: Write) -> None:
    del write
    assert reason("nowhere:app") == "there is no module nowhere here or among the installed packages"
    assert reason("nowhere.tasks:app").startswith("there is no module nowhere.tasks here")


def test_a_module_that_imports_what_is_not_there(write: Write) -> None:
    name = write("import not_to_be_found\n")
    told = reason(f"{name}:app")
    assert told.startswith(f"importing {name} failed: ModuleNotFoundError: No module named 'not_to_be_found'")
    assert told.endswith(f"{name}.py, line 1)")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("\n\n1 / 0\n", "failed: ZeroDivisionError: division by zero ("),
        ("x = (\n", "failed: SyntaxError: '(' was never closed ("),
        ("raise SystemExit(3)\n", "failed: SystemExit: 3 ("),
        ("raise ValueError('two\\nlines')\n", "failed: ValueError: two lines ("),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(write: Write, code: str, said: str) -> None:
    name = write(code)
    told = reason(f"{name}:app")
    assert f"importing {name} {said}" in told
    assert f"{name}.py, line {code.count(chr(10))})" in told


def test_wrong_settings_stay_what_they_are(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_HEARTBEAT_TIMEOUT", "soon")
    name = write("import schedora\nschedora.Schedora().settings\n")
    with pytest.raises(WrongSettings, match="WORKER_HEARTBEAT_TIMEOUT"):
        load_app(f"{name}:app")


def test_an_attribute_that_is_not_there_or_is_no_app(write: Write) -> None:
    name = write("import schedora\nmine = schedora.Schedora()\nother = 3\n")
    assert reason(f"{name}:app") == f"module {name} has no attribute app; it has mine"
    assert reason(f"{name}:other") == f"{name}:other is no Schedora, but of type int"
    bare = write("")
    assert reason(f"{bare}:app") == f"module {bare} has no attribute app"
