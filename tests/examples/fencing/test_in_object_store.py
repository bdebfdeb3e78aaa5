"""A run that was given up never has the last word in a bucket with conditional writes."""

from collections.abc import Iterator

import httpx
import pytest
from examples.fencing.bucket import bucket
from examples.fencing.in_object_store import app, put, report
from examples.fencing.stale import StaleRun

from schedora.application.context import JobContext
from schedora.testing import in_memory

NAME = "/reports/may.txt"


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with bucket() as url, httpx.Client(base_url=url) as client:
        yield client


def test_the_stale_run_is_refused(client: httpx.Client, runs: tuple[JobContext, JobContext]) -> None:
    stale, present = runs
    put(client, NAME, "first", stale)
    put(client, NAME, "second", present)
    put(client, NAME, "third", present)
    with pytest.raises(StaleRun, match=f"{NAME} is of token 2, and this run has 1"):
        put(client, NAME, "late", stale)
    assert client.get(NAME).text == "third"


@pytest.mark.parametrize("known", [False, True])
def test_the_stale_run_is_refused_when_it_had_looked_before(
    client: httpx.Client, runs: tuple[JobContext, JobContext], known: bool
) -> None:
    """It reads, is paused, and writes after the other has: then the store refuses, and it looks again."""
    stale, present = runs
    if known:
        put(client, NAME, "first", stale)

    class Paused(httpx.Client):
        def head(self, *args: object, **options: object) -> httpx.Response:
            seen = client.head(NAME)
            if client.get(NAME).text != "second":
                put(client, NAME, "second", present)
            return seen

    with Paused(base_url=client.base_url) as paused, pytest.raises(StaleRun):
        put(paused, NAME, "late", stale)
    assert client.get(NAME).text == "second"


def test_another_job_may_write_the_same_thing(
    client: httpx.Client, runs: tuple[JobContext, JobContext], other_runs: tuple[JobContext, JobContext]
) -> None:
    put(client, NAME, "of one job", runs[1])
    put(client, NAME, "of another", other_runs[0])
    assert client.get(NAME).text == "of another"


def test_the_bucket_writes_on_condition_as_the_real_ones_do(client: httpx.Client) -> None:
    assert client.put(NAME, content="a", headers={"If-Match": '"none"'}).status_code == 404
    assert client.put(NAME, content="a", headers={"If-None-Match": "*"}).status_code == 200
    assert client.put(NAME, content="b", headers={"If-None-Match": "*"}).status_code == 412
    etag = client.head(NAME).headers["ETag"]
    assert client.put(NAME, content="b", headers={"If-Match": etag}).status_code == 200
    assert client.put(NAME, content="c", headers={"If-Match": etag}).status_code == 412
    generation = client.head(NAME).headers["x-goog-generation"]
    for expected, status in (("0", 412), (generation, 200), (generation, 412)):
        headers = {"x-goog-if-generation-match": expected}
        assert client.put(NAME, content="d", headers=headers).status_code == status
    assert client.get(NAME).text == "d"
    assert client.get("/nothing").status_code == 404


async def test_the_handler_writes_its_report(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET_URL", str(client.base_url))
    async with in_memory(app) as sched:
        job = await report.submit("may", 12)
        await sched.run_until_idle()
        assert (await app.get_job(job)).value() == NAME
    assert client.get(NAME).text == "may: 12"
