"""The containers, without running one: files that are read, commands that are parsed, health checks run by hand."""

import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from schedora.entrypoints.cli.main import app
from schedora.entrypoints.settings import Settings, load_settings
from tests.docs.pages import ROOT, read_yaml
from tests.docs.session import Started, bare_environment
from tests.redis.servers import Port

COMPOSE: dict[str, Any] = read_yaml((ROOT / "docker-compose.yml").read_text())
OURS: dict[str, dict[str, Any]] = {
    name: service for name, service in COMPOSE["services"].items() if "build" in service
}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OF_THE_COMMAND = {"SCHEDORA_URL"}
"""Read by the commands that talk to the API, not by the settings."""


def parsed(arguments: list[str]) -> dict[str, Any]:
    """The options of a ``schedora`` command line. Raises for one that the command would refuse."""
    name, *rest = arguments
    group: Any = typer.main.get_command(app)
    options: dict[str, Any] = group.commands[name].make_context(name, rest).params
    return options


@pytest.mark.parametrize("name", OURS)
def test_each_service_runs_a_command_that_there_is(name: str) -> None:
    options = parsed(list(OURS[name]["command"]))
    if (target := options.get("app")) is not None:
        module, _, attribute = target.partition(":")
        assert hasattr(importlib.import_module(module), attribute)
        mounted = [volume.split(":") for volume in OURS[name]["volumes"]]
        assert any((ROOT / source / f"{module.rpartition('.')[2]}.py").exists() for source, *_ in mounted)


@pytest.mark.parametrize("name", OURS)
def test_each_service_is_configured_by_settings_that_there_are(name: str) -> None:
    environment = OURS[name]["environment"]
    assert {variable.lower() for variable in environment.keys() - OF_THE_COMMAND} <= set(
        Settings.model_fields
    )
    load_settings(**{variable.lower(): value for variable, value in environment.items()})


def test_services_wait_for_services_that_there_are() -> None:
    for service in COMPOSE["services"].values():
        for awaited, condition in service.get("depends_on", {}).items():
            assert awaited in COMPOSE["services"]
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in COMPOSE["services"][awaited]


def test_the_database_is_the_one_that_the_settings_name() -> None:
    made = COMPOSE["services"]["postgres"]["environment"]
    url = f"postgresql://{made['POSTGRES_USER']}:{made['POSTGRES_PASSWORD']}@postgres:5432/{made['POSTGRES_DB']}"
    assert {service["environment"]["DATABASE_URL"] for service in OURS.values()} == {url}


def test_only_this_machine_reaches_the_api() -> None:
    assert OURS["api"]["ports"] == ["127.0.0.1:8000:8000"]
    assert all("ports" not in service for name, service in COMPOSE["services"].items() if name != "api")


def test_workers_get_the_time_that_a_drain_takes() -> None:
    seconds = int(OURS["worker-1"]["stop_grace_period"].removesuffix("s"))
    assert seconds >= load_settings().worker_shutdown_timeout + 15


@pytest.fixture
def running(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a container, the services' names being those of this machine."""
    port = Port()
    environment = bare_environment(tmp_path, os.environ) | {
        **OURS["worker-1"]["environment"],
        "SCHEDORA_URL": f"http://127.0.0.1:{port.number}",
    }
    del environment["DATABASE_URL"], environment["REDIS_URL"]
    process = Started(f"schedora up --memory --port {port.number}", tmp_path, environment)
    process.say_when("worker registered")
    process.say_when("listens on")
    yield environment
    process.ask_to_stop()
    assert process.ended() == 0
    port.release()


def healthy(service: str, environment: dict[str, str]) -> bool:
    kind, *test = OURS[service]["healthcheck"]["test"]
    port = environment["SCHEDORA_URL"].rpartition(":")[2]
    command = [part.replace("$$", "$").replace("127.0.0.1:8000", f"127.0.0.1:{port}") for part in test]
    if kind == "CMD-SHELL":
        command = ["sh", "-c", *command]
    return subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0


def test_health_checks_tell_who_is_alive(running: dict[str, str]) -> None:
    assert healthy("api", running)
    assert healthy("worker-1", running)
    assert not healthy(
        "worker-2", running | OURS["worker-2"]["environment"] | {"SCHEDORA_URL": running["SCHEDORA_URL"]}
    )
    nobody = running | {"SCHEDORA_URL": "http://127.0.0.1:1"}
    assert not healthy("api", nobody)
    assert not healthy("worker-1", nobody)


def test_the_image_copies_files_that_there_are() -> None:
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for name in copied.split():
            assert (ROOT / name).exists(), name


def test_the_image_runs_the_command() -> None:
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", DOCKERFILE, re.MULTILINE)
    (default,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    assert read_yaml(entry) == ["schedora"]
    assert parsed(read_yaml(default)) == parsed(OURS["api"]["command"])
    assert shlex.split(re.findall(r"^FROM (\S+) AS", DOCKERFILE, re.MULTILINE)[0])[0].startswith("python:3.1")
