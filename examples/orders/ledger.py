"""The ledger of captured payments, fenced by the lease token of the job that captures.

A worker that was paused, lost its job to another and then wakes up may still call the gateway. Its token is
older than that of the claim which replaced it, and the ledger refuses it.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from examples.orders.card import Authorization

if TYPE_CHECKING:
    from asyncpg import Connection, Record  # the subscript exists for type checkers alone

TABLES = """
create schema if not exists shop;
create table if not exists shop.payment (
    order_id text primary key,
    amount_cents integer not null check (amount_cents > 0),
    authorization_code text not null,
    lease_token bigint not null,
    captured_at timestamptz not null default now()
);
"""


class StaleTokenError(Exception):
    """A later claim of the same job has already written to the ledger."""


async def open_ledger(connection: "Connection[Record]") -> None:
    """Create the table where it is missing, and begin with an empty one."""
    await connection.execute(TABLES)
    await connection.execute("truncate shop.payment")


async def capture(
    connection: "Connection[Record]", order_id: str, authorization: Authorization, *, lease_token: int
) -> datetime:
    """Take the money that was promised; return when it was first taken. Asking again takes nothing more.

    Raises StaleTokenError when a later claim was here before.
    """
    captured_at: datetime | None = await connection.fetchval(
        "insert into shop.payment as payment (order_id, amount_cents, authorization_code, lease_token)"
        " values ($1, $2, $3, $4)"
        " on conflict (order_id) do update set lease_token = excluded.lease_token"
        " where payment.lease_token <= excluded.lease_token"
        " returning captured_at",
        order_id,
        authorization.amount_cents,
        authorization.code,
        lease_token,
    )
    if captured_at is None:
        raise StaleTokenError(
            f"the payment of {order_id} was captured under a later token than {lease_token}"
        )
    return captured_at
