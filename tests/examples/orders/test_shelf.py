"""The inventory in PostgreSQL: reserved once, never below nothing, whoever comes at the same time."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from examples.orders.catalogue import Product
from examples.orders.order import Line
from examples.orders.shelf import SoldOutError, on_hand, open_shelf, reserve, reserved

SHELF = [
    Product(sku="A", name="Anchor", unit_price_cents=100, stock=5),
    Product(sku="B", name="Bell", unit_price_cents=100, stock=1),
]


def line(sku: str, quantity: int) -> Line:
    return Line(sku=sku, name=sku, quantity=quantity, unit_price_cents=100)


@pytest.fixture
async def shelf(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    await open_shelf(connection, SHELF)
    yield connection
    await connection.close()


async def test_what_is_reserved_leaves_the_shelf(shelf: "asyncpg.Connection[asyncpg.Record]") -> None:
    await reserve(shelf, "order-1", [line("B", 1), line("A", 2)])
    assert await on_hand(shelf) == {"A": 3, "B": 0}
    assert await reserved(shelf) == {"A": 2, "B": 1}


async def test_the_same_order_reserves_once(shelf: "asyncpg.Connection[asyncpg.Record]") -> None:
    for _ in range(3):
        await reserve(shelf, "order-1", [line("A", 2), line("B", 1)])
    assert await on_hand(shelf) == {"A": 3, "B": 0}


async def test_an_order_that_cannot_be_filled_takes_nothing(
    shelf: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    with pytest.raises(SoldOutError, match="sold out: 2 of B wanted, 1 left") as caught:
        async with shelf.transaction():
            await reserve(shelf, "order-1", [line("A", 2), line("B", 2)])
    assert caught.value.on_hand == 1
    assert await on_hand(shelf) == {"A": 5, "B": 1}
    assert await reserved(shelf) == {}


async def test_of_many_who_want_the_last_piece_one_gets_it(
    shelf: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    async def buy(order_id: str) -> bool:
        connection = await asyncpg.connect(database_url)
        try:
            async with connection.transaction():
                await reserve(connection, order_id, [line("B", 1), line("A", 1)])
        except SoldOutError:
            return False
        finally:
            await connection.close()
        return True

    bought = await asyncio.gather(*(buy(f"order-{number}") for number in range(8)))
    assert sorted(bought) == [False] * 7 + [True]
    assert await on_hand(shelf) == {"A": 4, "B": 0}


async def test_opening_again_brings_back_the_first_day(shelf: "asyncpg.Connection[asyncpg.Record]") -> None:
    await reserve(shelf, "order-1", [line("A", 5)])
    await open_shelf(shelf, SHELF)
    assert await on_hand(shelf) == {"A": 5, "B": 1}
    assert await reserved(shelf) == {}
