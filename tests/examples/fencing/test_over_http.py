"""A run that was given up pays nothing more, and does not have the last word."""

from collections.abc import Iterator

import httpx
import pytest
from examples.fencing.bank import Books, bank
from examples.fencing.over_http import app, pay, say_state, take_payment
from examples.fencing.stale import StaleRun

from schedora.application.context import JobContext
from schedora.testing import in_memory


@pytest.fixture
def service() -> Iterator[tuple[httpx.Client, Books]]:
    with bank() as (url, books), httpx.Client(base_url=url) as client:
        yield client, books


def test_each_run_asks_for_the_payment_and_it_is_taken_once(
    service: tuple[httpx.Client, Books], runs: tuple[JobContext, JobContext]
) -> None:
    client, books = service
    assert [take_payment(client, run, "A-1", 500) for run in (*runs, runs[0])] == [1, 1, 1]
    assert [payment["cents"] for payment in books.taken.values()] == [500]


def test_another_job_pays_for_itself(
    service: tuple[httpx.Client, Books],
    runs: tuple[JobContext, JobContext],
    other_runs: tuple[JobContext, JobContext],
) -> None:
    client, _ = service
    assert [take_payment(client, run, "A-1", 500) for run in (runs[0], other_runs[0])] == [1, 2]


def test_the_stale_run_is_refused(
    service: tuple[httpx.Client, Books], runs: tuple[JobContext, JobContext]
) -> None:
    client, books = service
    stale, present = runs
    say_state(client, stale, "A-1", "began")
    say_state(client, present, "A-1", "paid")
    with pytest.raises(StaleRun, match="order A-1 has heard of token 2, and this run has 1"):
        say_state(client, stale, "A-1", "failed")
    assert books.orders == {"/orders/A-1": (2, "paid")}


async def test_the_handler_pays_and_tells(
    service: tuple[httpx.Client, Books], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, books = service
    monkeypatch.setenv("BANK_URL", str(client.base_url))
    async with in_memory(app) as sched:
        job = await pay.submit("A-1", 500)
        await sched.run_until_idle()
        assert (await app.get_job(job)).value() == 1
    assert books.orders == {"/orders/A-1": (1, "paid by 1")}
