"""The shelf: the inventory as a real table in PostgreSQL, and the reservations taken from it.

Every function works inside the transaction that its caller has open on the connection.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from examples.orders.catalogue import Product
from examples.orders.order import Line

if TYPE_CHECKING:
    from asyncpg import Connection, Record  # the subscript exists for type checkers alone

TABLES = """
create schema if not exists shop;
create table if not exists shop.stock (
    sku text primary key,
    on_hand integer not null check (on_hand >= 0)
);
create table if not exists shop.reservation (
    order_id text,
    sku text references shop.stock,
    quantity integer not null check (quantity > 0),
    reserved_at timestamptz not null default now(),
    primary key (order_id, sku)
);
"""


class SoldOutError(Exception):
    """The shelf does not hold what the order wants."""

    def __init__(self, line: Line, on_hand: int) -> None:
        super().__init__(f"sold out: {line.quantity} of {line.name} wanted, {on_hand} left")
        self.line = line
        self.on_hand = on_hand


async def open_shelf(connection: "Connection[Record]", products: Iterable[Product]) -> None:
    """Create the tables where they are missing, and bring the shelf to its first day: full, nothing reserved."""
    await connection.execute(TABLES)
    await connection.execute("truncate shop.reservation, shop.stock")
    await connection.executemany(
        "insert into shop.stock (sku, on_hand) values ($1, $2)",
        [(product.sku, product.stock) for product in products],
    )


async def reserve(connection: "Connection[Record]", order_id: str, lines: Sequence[Line]) -> None:
    """Take the lines off the shelf for the order. What the order holds already is not taken twice.

    Raises SoldOutError at the first article of which too few are left; the caller's transaction must then
    be rolled back, or it would hold what was taken before.
    """
    # Rows are locked in one order, and before the reservation refers to them, so that no two orders ever wait
    # for each other.
    for line in sorted(lines, key=lambda line: line.sku):
        on_hand = await connection.fetchval(
            "select on_hand from shop.stock where sku = $1 for no key update", line.sku
        )
        taken = await connection.fetchval(
            "insert into shop.reservation (order_id, sku, quantity) values ($1, $2, $3)"
            " on conflict do nothing returning true",
            order_id,
            line.sku,
            line.quantity,
        )
        if not taken:
            continue
        if on_hand < line.quantity:
            raise SoldOutError(line, on_hand)
        await connection.execute(
            "update shop.stock set on_hand = on_hand - $2 where sku = $1", line.sku, line.quantity
        )


async def on_hand(connection: "Connection[Record]") -> Mapping[str, int]:
    """Return how many pieces of each article are left."""
    return {
        row["sku"]: row["on_hand"] for row in await connection.fetch("select sku, on_hand from shop.stock")
    }


async def reserved(connection: "Connection[Record]") -> Mapping[str, int]:
    """Return how many pieces of each article are held for orders; an article with none is not named."""
    rows = await connection.fetch("select sku, sum(quantity)::int as held from shop.reservation group by sku")
    return {row["sku"]: row["held"] for row in rows}
