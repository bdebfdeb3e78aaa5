import re

from tests.unit.entrypoints.cli.conftest import Run, invoke
from tests.unit.entrypoints.sdk.odd_server import an_odd_server


def test_a_healthy_system(run: Run) -> None:
    answer = run("health")
    assert answer.status == 0
    assert re.search(r"^status +healthy$", answer.out, re.MULTILINE)
    assert re.search(r"^workers +\d+: \d+ active, 0 stale$", answer.out, re.MULTILINE)
    assert run("health", "--json").document["database"] == "up"


def test_an_unhealthy_system_exits_with_1_and_is_shown_all_the_same() -> None:
    data = {
        "status": "unhealthy",
        "database": "down",
        "redis": "disabled",
        "workers": {"total": 0, "active": 0, "stale": 0},
    }
    with an_odd_server() as server:
        server.says(503, {"title": "Service Unavailable", "status": 503, "data": data})
        answer = invoke("health", "--url", server.url)
        assert answer.status == 1
        assert re.search(r"^database +down$", answer.out, re.MULTILINE)
        assert answer.err == ""
        as_json = invoke("health", "--json", "--url", server.url)
        assert (as_json.status, as_json.document) == (1, data)
