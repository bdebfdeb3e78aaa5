"""What a handler writes together with its completion is there once, wherever the handler runs."""

import psycopg
import pytest

from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without


@pytest.fixture
def database(cluster: Cluster, migrated_url: str) -> str:
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("create table charges (order_id int primary key, attempt int not null)")
    cluster.start("worker", "--app", "tests.e2e.charges:app")
    return migrated_url


def charges(url: str) -> list[tuple[int, int]]:
    with psycopg.connect(url) as connection:
        return list(connection.execute("select order_id, attempt from charges order by order_id"))


@with_redis_and_at_night_without
def test_committed_with_the_completion(database: str, api: Api) -> None:
    types = ("charge_on_loop", "charge_in_thread", "charge_in_process", "charge_and_die")
    ids = [api.submit(job_type, {"order": order}) for order, job_type in enumerate(types)]
    ended = [api.ended(job_id) for job_id in ids]
    assert [(job["status"], job["result"]) for job in ended] == [
        ("SUCCESS", {"order": order}) for order in range(len(types))
    ]
    assert charges(database) == [(order, 1) for order in range(len(types))]


@with_redis_and_at_night_without
def test_rolled_back_is_not_completed(database: str, api: Api) -> None:
    job = api.ended(api.submit("charge_at_last", {"order": 7}))
    assert (job["status"], job["attempt"]) == ("SUCCESS", 2)
    assert [error["kind"] for error in job["errors"]] == ["completion_not_committed"]
    assert charges(database) == [(7, 2)]
