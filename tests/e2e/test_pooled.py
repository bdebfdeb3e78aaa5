"""Processes behind a pooler in transaction mode: a stand-in of the tests' own, and PgBouncer itself where there is one."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.databases import on
from tests.e2e.conftest import Cluster, running_cluster
from tests.pgbouncer import needs_pgbouncer, pgbouncer
from tests.postgres.pooler import Pooler, running_beside
from tests.programs import until

OFF = "hints are off"


@pytest.fixture(params=["stand-in", pytest.param("pgbouncer", marks=needs_pgbouncer)])
def pooler_url(request: pytest.FixtureRequest, postgres_server_url: str, database_url: str) -> Iterator[str]:
    """Leads to an empty database. Whoever is told nothing of the pooler is refused."""
    if request.param == "stand-in":
        with running_beside(Pooler(database_url, strict=True, restless=True)) as url:
            yield f"{url}?pgbouncer=true"
    else:
        with pgbouncer(postgres_server_url) as url:
            yield on(url, urlsplit(database_url).path.strip("/"))


def warnings(cluster: Cluster, what: str) -> list[str]:
    return [
        line for program in cluster.programs for line in program.err.read_text().splitlines() if what in line
    ]


def test_jobs_run_and_workers_poll_where_no_hint_comes(pooler_url: str, tmp_path: Path) -> None:
    with running_cluster(tmp_path, DATABASE_URL=pooler_url) as cluster:
        migrations = [cluster.start("migrate") for _ in range(3)]
        assert [program.ended() for program in migrations] == [0, 0, 0]
        cluster.worker("w1")
        api = cluster.api(cluster.start("api", "--port", "0"))
        for job_type in ("submits", "submits_in_thread", "submits_in_process"):
            ended = api.ended(api.submit(job_type, {}))
            assert ended["status"] == "SUCCESS", ended
            assert api.ended(ended["result"])["result"] == {"from": job_type}
        flow = api.http.post(
            "/workflows",
            json={
                "name": "f",
                "jobs": [
                    {"key": "a", "type": "echo", "payload": {"n": 1}},
                    {"key": "b", "type": "echo", "depends_on": ["a"]},
                ],
            },
        ).json()["data"]["workflow_id"]
        until(
            lambda: api.http.get(f"/workflows/{flow}/status").json()["data"]["status"] == "SUCCESS",
            "the workflow to end",
        )
    assert len(warnings(cluster, OFF)) == 1
    assert "DATABASE_DIRECT_URL" in warnings(cluster, OFF)[0]


def test_hints_come_past_the_pooler(pooler_url: str, database_url: str, tmp_path: Path) -> None:
    plain = pooler_url.replace("?pgbouncer=true", "")  # that there is a direct way says enough
    with running_cluster(tmp_path, DATABASE_URL=plain, DATABASE_DIRECT_URL=database_url) as cluster:
        assert cluster.run("migrate").returncode == 0
        cluster.worker("w1")
        api = cluster.api(cluster.start("api", "--port", "0"))
        assert api.ended(api.submit("submits_in_process", {}))["status"] == "SUCCESS"
        until(lambda: api.metric("wakeups_total") > 0, "a hint to be heard")
    assert warnings(cluster, OFF) == []


@needs_pgbouncer
def test_one_in_session_mode_leads_listeners_past_itself(
    postgres_server_url: str, database_url: str, tmp_path: Path
) -> None:
    with pgbouncer(postgres_server_url, mode="session", prepared=200) as server:
        url = on(server, urlsplit(database_url).path.strip("/"))
        with running_cluster(tmp_path, DATABASE_URL=url, DATABASE_DIRECT_URL=url) as cluster:
            assert cluster.run("migrate").returncode == 0
            cluster.worker("w1")
            api = cluster.api(cluster.start("api", "--port", "0"))
            assert api.ended(api.submit("submits_in_process", {}))["status"] == "SUCCESS"
            until(lambda: api.metric("wakeups_total") > 0, "a hint to be heard")
        assert warnings(cluster, OFF) == []
