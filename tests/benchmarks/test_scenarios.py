"""Every scenario, tiny, with Schedora, its variants and the limits: it runs, and yields every figure that it promises."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from benchmarks.bench import Bench
from benchmarks.postgres import Server
from benchmarks.running import run
from benchmarks.scenarios.catalogue import scenarios
from benchmarks.sizes import SIZES
from benchmarks.systems.catalogue import Role, System, catalogue

from tests.redis.servers import RedisServer
from tests.tiers import nightly, sampled

SCENARIOS = scenarios(scaling=(1, 3), herd=(1, 3))
EACH = [
    name if name in {"submit", "drain", "pickup"} else pytest.param(name, marks=nightly) for name in SCENARIOS
]
"""By day those that are measured most."""
pytestmark = pytest.mark.xdist_group("benchmarks")  # they take both cores, and one is enough


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture
def bench(postgres_server_url: str, redis_url: str) -> Bench:
    return Bench(server=Server(url=postgres_server_url), redis_url=redis_url, sizes=SIZES["tiny"])


def must_yield_every_figure(bench: Bench, name: str, system: System) -> None:
    scenario = SCENARIOS[name]
    results = run(bench, scenario, [system], rounds=1, tell=lambda _line: None)
    assert [result.case for result in results] == [case.name for case in scenario.cases(system)]
    promised = {metric.key for metric in scenario.metrics}
    for result in results:
        assert (result.unable, result.broken) == (None, None)
        assert result.rounds[0].keys() == promised - (
            set() if system.needs_redis else {"commands_per_second"}
        )


@pytest.mark.parametrize("name", EACH)
def test_it_yields_every_figure(bench: Bench, name: str) -> None:
    must_yield_every_figure(bench, name, catalogue()["schedora"])


@pytest.mark.parametrize(
    ("system", "name"),
    sampled([("schedora_polling", "pickup"), ("schedora_redis", "herd"), ("schedora_redis", "idle")], 3),
)
def test_it_yields_every_figure_however_workers_are_woken(bench: Bench, system: str, name: str) -> None:
    must_yield_every_figure(bench, name, catalogue()[system])


def test_where_polling_is_measured_no_hint_arrives(bench: Bench) -> None:
    with bench.staged(catalogue()["schedora_polling"]) as stage:
        assert stage.database is not None
        with psycopg.connect(stage.database.url, autocommit=True) as connection:
            connection.execute("LISTEN schedora")
            connection.execute("SELECT pg_notify('schedora', 'as Schedora calls it')")
            connection.execute("SELECT pg_catalog.pg_notify('schedora', 'as PostgreSQL knows it')")
            (heard,) = connection.notifies(timeout=60, stop_after=1)
    assert heard.payload == "as PostgreSQL knows it"


def test_a_redis_is_in_the_environment_of_those_alone_who_have_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere")
    program = tmp_path / "driver.py"
    program.write_text("import os, sys; print('redis', os.environ.get('REDIS_URL'), flush=True)")
    monkeypatch.setattr(System, "driver", program)
    for name, told in [("schedora", "None"), ("schedora_redis", bench.redis_url)]:
        with bench.staged(catalogue()[name]) as stage, stage.driver.running("work", name="work") as process:
            assert process.line("redis", seconds_max=60) == told


def test_settings_of_a_stage_are_in_the_environment_of_its_processes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "driver.py"
    program.write_text("import os, sys; print('sampler', os.environ.get('OTEL_TRACES_SAMPLER'), flush=True)")
    monkeypatch.setattr(System, "driver", program)
    for settings, told in [(None, "None"), ({"OTEL_TRACES_SAMPLER": "always_off"}, "always_off")]:
        with (
            bench.staged(catalogue()["schedora"], settings) as stage,
            stage.driver.running("work", name="work") as process,
        ):
            assert process.line("sampler", seconds_max=60) == told


def test_who_needs_a_redis_is_not_measured_without(bench: Bench) -> None:
    alone = Bench(server=bench.server, redis_url=None, sizes=bench.sizes)
    with (
        pytest.raises(RuntimeError, match="schedora_redis needs a Redis"),
        alone.staged(catalogue()["schedora_redis"]),
    ):
        pass


@pytest.mark.parametrize("name", sampled(["submit", "http", "drain", "pickup"], 4))
def test_the_limits_are_measured_alike(bench: Bench, name: str) -> None:
    scenario = SCENARIOS[name]
    limits = [s for s in catalogue().values() if s.role is Role.LIMIT and scenario.verbs <= s.verbs]
    results = run(bench, scenario, limits, rounds=1, tell=lambda _line: None)
    assert {result.system for result in results} == {limit.name for limit in limits} != set()
    assert {(result.unable, result.broken) for result in results} == {(None, None)}
