"""The ledger of payments, fenced by lease tokens."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from examples.orders.card import Authorization
from examples.orders.ledger import StaleTokenError, capture, open_ledger

PROMISE = Authorization(code="C0FFEE", amount_cents=500, card_ending="4242")


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    await open_ledger(connection)
    yield connection
    await connection.close()


async def test_a_later_claim_finds_the_money_taken_already(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    first = await capture(ledger, "A-1", PROMISE, lease_token=1)
    assert await capture(ledger, "A-1", PROMISE, lease_token=2) == first
    assert await ledger.fetchval("select sum(amount_cents) from shop.payment") == 500


async def test_a_claim_that_was_replaced_is_refused(ledger: "asyncpg.Connection[asyncpg.Record]") -> None:
    await capture(ledger, "A-1", PROMISE, lease_token=2)
    with pytest.raises(StaleTokenError, match="A-1 was captured under a later token than 1"):
        await capture(ledger, "A-1", PROMISE, lease_token=1)


async def test_each_order_has_a_fence_of_its_own(ledger: "asyncpg.Connection[asyncpg.Record]") -> None:
    await capture(ledger, "A-1", PROMISE, lease_token=9)
    await capture(ledger, "A-2", PROMISE, lease_token=1)
    assert await ledger.fetchval("select count(*) from shop.payment") == 2


async def test_opening_again_begins_with_an_empty_ledger(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await capture(ledger, "A-1", PROMISE, lease_token=9)
    await open_ledger(ledger)
    await capture(ledger, "A-1", PROMISE, lease_token=1)
