"""An order, step by step: the handlers of the seven steps.

Each takes what the steps before it found (`ctx.upstream`), does one thing and hands on the order with what
it learned. Run them with `schedora worker --app examples.orders.app:app`.
"""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from attrs import asdict
from examples.orders.card import Authorization, authorize
from examples.orders.catalogue import load_catalogue
from examples.orders.confirmation import compose, deliver
from examples.orders.fraud import assess
from examples.orders.invoice import Invoice, write_invoice
from examples.orders.ledger import capture
from examples.orders.order import Order
from examples.orders.settings import ShopSettings
from examples.orders.shelf import SoldOutError, reserve
from examples.orders.validation import InvalidOrderError, validate

from schedora import Discard, JobContext, Schedora

BANK_ANSWER_SECONDS = 0.4
"""How long the bank thinks. No bank stands behind the example, but a real one is never instant."""

app = Schedora()


@app.job("orders.validate", queue="orders")
async def validate_order(form: dict[str, Any]) -> dict[str, Any]:
    """Check the order and price it."""
    try:
        order = validate(form, load_catalogue())
    except InvalidOrderError as error:
        raise Discard(str(error)) from error
    return {"order": order.to_json()}


@app.job("orders.reserve", queue="orders")
async def reserve_inventory(ctx: JobContext) -> None:
    """Take the articles off the shelf, exactly once.

    The reservation and the completion of this job are one transaction: a worker that dies at any point
    leaves both or neither.
    """
    order = Order.from_json(ctx.upstream["validate"]["order"])
    connection = await asyncpg.connect(ShopSettings.from_environment().database_url)
    try:
        async with connection.transaction():
            await reserve(connection, order.order_id, order.lines)
            await ctx.complete_in(connection, {"order": order.to_json()})
    except SoldOutError as error:
        raise Discard(str(error)) from error
    finally:
        await connection.close()


@app.job("orders.charge", queue="orders", max_retries=2, retry_policy="exponential", retry_base_seconds=1)
async def charge_payment(ctx: JobContext, card_number: str) -> dict[str, Any]:
    """Ask the bank for its promise to pay. A card that is declined is tried again before giving up."""
    order = Order.from_json(ctx.upstream["reserve"]["order"])
    await asyncio.sleep(BANK_ANSWER_SECONDS)
    promise = authorize(card_number, order_id=order.order_id, amount_cents=order.total_cents)
    return {"order": order.to_json(), "authorization": asdict(promise)}


@app.job("orders.fraud", queue="orders")
async def check_fraud(ctx: JobContext, card_country: str) -> dict[str, Any]:
    """Refuse an order that looks like fraud; no retry will make it look better."""
    order = Order.from_json(ctx.upstream["charge"]["order"])
    assessment = assess(order, card_country=card_country)
    if assessment.refused:
        raise Discard(f"looks like fraud: {', '.join(assessment.reasons)}")
    return {"score": assessment.score, "reasons": list(assessment.reasons)}


@app.job("orders.gateway", queue="orders")
async def capture_payment(ctx: JobContext) -> dict[str, Any]:
    """Take the promised money, fenced by this claim's lease token."""
    charged = ctx.upstream["charge"]
    order, promise = Order.from_json(charged["order"]), Authorization(**charged["authorization"])
    await asyncio.sleep(BANK_ANSWER_SECONDS)
    connection = await asyncpg.connect(ShopSettings.from_environment().database_url)
    try:
        paid_at = await capture(connection, order.order_id, promise, lease_token=ctx.lease_token)
    finally:
        await connection.close()
    return {**charged, "paid_at": paid_at.isoformat()}


@app.job("orders.invoice", queue="orders")
def generate_invoice(ctx: JobContext) -> dict[str, Any]:
    """Write the invoice as a page."""
    paid = ctx.upstream["gateway"]
    invoice = Invoice(
        order=Order.from_json(paid["order"]),
        authorization=Authorization(**paid["authorization"]),
        paid_at=datetime.fromisoformat(paid["paid_at"]),
    )
    path = write_invoice(invoice, ShopSettings.from_environment().invoices)
    return {"order": paid["order"], "paid_at": paid["paid_at"], "invoice": str(path)}


@app.job("orders.confirm", queue="orders", max_retries=5, retry_policy="jitter", retry_base_seconds=1)
def send_confirmation(ctx: JobContext) -> dict[str, str]:
    """Send the customer the mail, with the invoice attached."""
    invoiced = ctx.upstream["invoice"]
    message = compose(
        Order.from_json(invoiced["order"]),
        invoice_page=Path(invoiced["invoice"]),
        paid_at=datetime.fromisoformat(invoiced["paid_at"]),
    )
    deliver(message, ShopSettings.from_environment().mail_server)
    return {"message_id": message["Message-ID"], "to": message["To"]}
