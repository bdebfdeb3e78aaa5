"""Every scenario, tiny, with Schedora and with the limits: it runs, and yields every figure that it promises."""

import pytest
from benchmarks.bench import Bench
from benchmarks.postgres import Server
from benchmarks.running import run
from benchmarks.scenarios.catalogue import scenarios
from benchmarks.sizes import SIZES
from benchmarks.systems.catalogue import Role, catalogue

SCENARIOS = scenarios(workers=(1, 2), concurrency=None)
pytestmark = pytest.mark.xdist_group("benchmarks")  # they take both cores, and one is enough


@pytest.fixture
def bench(postgres_server_url: str) -> Bench:
    return Bench(server=Server(url=postgres_server_url), redis_url=None, sizes=SIZES["tiny"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_it_yields_every_figure(bench: Bench, name: str) -> None:
    scenario = SCENARIOS[name]
    systems = [s for s in catalogue().values() if s.role is not Role.PEER and s.role in scenario.roles]
    said: list[str] = []
    results = run(bench, scenario, systems, rounds=1, tell=said.append)
    assert "schedora" in {result.system for result in results}
    assert [result.broken for result in results] == [None] * len(results)
    for result in results:
        if result.system == "schedora":
            assert {key for key, value in result.rounds[0].items() if value > 0} >= {
                metric.key for metric in scenario.metrics
            }
