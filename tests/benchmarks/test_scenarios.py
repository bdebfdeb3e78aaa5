"""Every scenario, tiny, with Schedora and with the limits: it runs, and yields every figure that it promises."""

import pytest
from benchmarks.bench import Bench
from benchmarks.postgres import Server
from benchmarks.running import run
from benchmarks.scenarios.catalogue import scenarios
from benchmarks.sizes import SIZES
from benchmarks.systems.catalogue import Role, catalogue

SCENARIOS = scenarios(scaling=(1, 3))
pytestmark = pytest.mark.xdist_group("benchmarks")  # they take both cores, and one is enough


@pytest.fixture
def bench(postgres_server_url: str) -> Bench:
    return Bench(server=Server(url=postgres_server_url), redis_url=None, sizes=SIZES["tiny"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_yields_every_figure(bench: Bench, name: str) -> None:
    scenario, system = SCENARIOS[name], catalogue()["schedora"]
    results = run(bench, scenario, [system], rounds=1, tell=lambda _line: None)
    assert [result.case for result in results] == [case.name for case in scenario.cases(system)]
    for result in results:
        assert (result.unable, result.broken) == (None, None)
        assert result.rounds[0].keys() == {metric.key for metric in scenario.metrics}


@pytest.mark.parametrize("name", ["http", "submit", "drain", "pickup"])
def test_the_limits_are_measured_alike(bench: Bench, name: str) -> None:
    scenario = SCENARIOS[name]
    limits = [s for s in catalogue().values() if s.role is Role.LIMIT and scenario.verbs <= s.verbs]
    results = run(bench, scenario, limits, rounds=1, tell=lambda _line: None)
    assert {result.system for result in results} == {limit.name for limit in limits} != set()
    assert {(result.unable, result.broken) for result in results} == {(None, None)}
