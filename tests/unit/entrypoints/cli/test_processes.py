"""How the commands that are Schedora read their arguments; what they run is tried in ``tests/e2e``."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from schedora import Schedora
from schedora.adapters.postgres.embedded import EmbeddedUnavailable
from schedora.application.errors import StoreUnavailable
from schedora.entrypoints import processes
from schedora.entrypoints.api.service import PortInUse
from tests.unit.entrypoints.cli.conftest import invoke, refused

STATUS = 7
"""What a process answers here, to be told from all else."""


class Calls(dict[str, dict[str, Any]]):
    """What each of the functions behind the commands was given."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls()

    def record(name: str) -> None:
        def run(**arguments: Any) -> int:
            made[name] = arguments
            return STATUS

        monkeypatch.setattr(processes, name, run)

    for name in ("run_up", "run_api", "run_worker", "run_reaper", "run_migrate"):
        record(name)
    return made


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Schedora:
    """The app of a user's module, in the directory that the command is started in."""
    (tmp_path / "the_shop.py").write_text("import schedora\napp = schedora.Schedora()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    app: Schedora = importlib.import_module("the_shop").app
    return app


def test_up_by_default(calls: Calls) -> None:
    assert invoke("up").status == STATUS
    arguments = calls["run_up"]
    assert set(arguments.pop("app").handlers) == {"echo", "sleep", "fail"}
    assert arguments == {"host": "127.0.0.1", "port": 8000, "data_dir": None, "memory": False}


def test_up_as_it_is_told(calls: Calls, shop: Schedora, tmp_path: Path) -> None:
    answer = invoke(
        "up", "--app", "the_shop:app", "--host", "::1", "--port", "0", "--data-dir", str(tmp_path / "new"), "--memory"
    )  # fmt: skip
    assert answer.status == STATUS
    assert calls["run_up"] == {
        "app": shop,
        "host": "::1",
        "port": 0,
        "data_dir": tmp_path / "new",
        "memory": True,
    }


def test_api(calls: Calls) -> None:
    assert invoke("api", "--port", "65535").status == STATUS
    assert calls["run_api"] == {"host": "127.0.0.1", "port": 65535, "data_dir": None}


def test_worker_by_default(calls: Calls) -> None:
    assert invoke("worker").status == STATUS
    arguments = calls["run_worker"]
    assert isinstance(arguments.pop("app"), Schedora)
    assert arguments == {
        "target": None,
        "queues": (),
        "concurrency": None,
        "processes": None,
        "worker_id": None,
        "max_jobs_per_child": None,
        "max_memory_mb_per_child": None,
        "data_dir": None,
    }


def test_worker_as_it_is_told(calls: Calls, shop: Schedora, tmp_path: Path) -> None:
    answer = invoke(
        "worker", "--app", "the_shop:app", "--queues", "a, b,a", "--concurrency", "3", "--processes", "2",
        "--worker-id", "w 1", "--data-dir", str(tmp_path), "--max-jobs-per-child", "100",
        "--max-memory-mb-per-child", "500",
    )  # fmt: skip
    assert answer.status == STATUS
    assert calls["run_worker"] == {
        "app": shop,
        "target": "the_shop:app",
        "queues": ("a", "b"),
        "concurrency": 3,
        "processes": 2,
        "worker_id": "w 1",
        "max_jobs_per_child": 100,
        "max_memory_mb_per_child": 500,
        "data_dir": tmp_path,
    }


@pytest.mark.parametrize("command", ["reaper", "migrate"])
def test_reaper_and_migrate(calls: Calls, command: str, tmp_path: Path) -> None:
    assert invoke(command, "--data-dir", str(tmp_path)).status == STATUS
    assert calls[f"run_{command}"] == {"data_dir": tmp_path}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--port", "65536"], "'--port'"),
        (["up", "--port", "-1"], "'--port'"),
        (["up", "--port", "http"], "'--port'"),
        (["up", "--data-dir", __file__], "'--data-dir'"),
        (["up", "--app", "nonsense"], "'nonsense' is not of the form MODULE:APP"),
        (["up", "extra"], "extra"),
        (["api", "--memory"], "--memory"),
        (["worker", "--concurrency", "0"], "'--concurrency'"),
        (["worker", "--concurrency", "10001"], "'--concurrency'"),
        (["worker", "--processes", "0"], "'--processes'"),
        (["worker", "--queues", ""], "--queues: queue must be 1 to 200 characters long"),
        (["worker", "--queues", "a,,b"], "--queues: queue"),
        (["worker", "--queues", "q" * 201], "--queues: queue"),
        (["worker", "--worker-id", ""], "--worker-id must be 1 to 255 characters long"),
        (["worker", "--worker-id", "w" * 256], "--worker-id"),
        (["reaper", "--app", "x:y"], "--app"),
        (["migrate", "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_use_starts_nothing(calls: Calls, arguments: list[str], said: str) -> None:
    refused(invoke(*arguments), 2, said)
    assert calls == {}


@pytest.mark.parametrize(
    "error", [PortInUse("no port"), StoreUnavailable("no database"), EmbeddedUnavailable("no server")]
)
def test_what_keeps_a_process_from_starting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(**_: object) -> int:
        raise error

    monkeypatch.setattr(processes, "run_api", fail)
    refused(invoke("api"), 1, f"schedora: {error}")


@pytest.mark.parametrize("command", ["up", "api", "worker", "reaper", "migrate"])
def test_wrong_settings_are_one_line_and_wrong_use(command: str) -> None:
    answer = invoke(command, WORKER_HEARTBEAT_TIMEOUT="soon")
    refused(answer, 2, "WORKER_HEARTBEAT_TIMEOUT", "'soon'")
