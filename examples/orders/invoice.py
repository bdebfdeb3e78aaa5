"""The invoice: one HTML page with no other file, made to be read on a screen and printed."""

from datetime import datetime
from html import escape
from pathlib import Path

from attrs import frozen
from examples.orders.card import Authorization
from examples.orders.order import Line, Order, euros

SHOP_NAME = "Meridian & Sons"
SHOP_TRADE = "Chart room supplies since 1871"


@frozen(kw_only=True)
class Invoice:
    """An order that has been paid. The date is that of the payment, so that a second rendering is the same."""

    order: Order
    authorization: Authorization
    paid_at: datetime

    @property
    def number(self) -> str:
        """The number of the invoice, one to an order."""
        return f"INV-{self.order.order_id}"


def render_invoice(invoice: Invoice) -> str:
    """Return the page."""
    order, customer = invoice.order, invoice.order.customer
    style = Path(__file__).with_name("invoice.css").read_text(encoding="utf-8")
    address = "<br>".join(
        escape(part) for part in (customer.name, customer.street, f"{customer.city}, {customer.country}")
    )
    shipping = euros(order.shipping_cents) if order.shipping_cents else "free"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Invoice {escape(invoice.number)}</title><style>{style}</style></head><body><article>
<header>
  <div class="shop">{escape(SHOP_NAME)}<small>{escape(SHOP_TRADE)}</small></div>
  <div><h1>Invoice</h1><p>{escape(invoice.number)}</p></div>
</header>
<dl>
  <div><dt>Billed to</dt><dd>{address}</dd></div>
  <div><dt>Date</dt><dd>{invoice.paid_at.day} {invoice.paid_at:%B %Y}</dd></div>
  <div><dt>Order</dt><dd>{escape(order.order_id)}</dd></div>
</dl>
<table>
  <thead><tr><th>Article</th><th class="number">Pieces</th><th class="number">Price</th><th class="number">Amount</th></tr></thead>
  <tbody>{"".join(_row(line) for line in order.lines)}</tbody>
  <tfoot>
    <tr><td colspan="3">Goods</td><td class="number">{euros(order.goods_cents)}</td></tr>
    <tr><td colspan="3">Shipping</td><td class="number">{shipping}</td></tr>
    <tr><td colspan="3">Total</td><td class="number">{euros(order.total_cents)}</td></tr>
  </tfoot>
</table>
<footer><span class="paid">PAID</span>&ensp;by card ending in {escape(invoice.authorization.card_ending)},
authorization {escape(invoice.authorization.code)}. Thank you for your order.</footer>
</article></body></html>
"""


def write_invoice(invoice: Invoice, directory: Path) -> Path:
    """Write the page to the directory and return its path; it appears there whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{invoice.number}.html"
    part = path.with_suffix(".part")
    part.write_text(render_invoice(invoice), encoding="utf-8")
    part.replace(path)
    return path


def _row(line: Line) -> str:
    return (
        f"<tr><td>{escape(line.name)}<small>{escape(line.sku)}</small></td>"
        f'<td class="number">{line.quantity}</td><td class="number">{euros(line.unit_price_cents)}</td>'
        f'<td class="number">{euros(line.total_cents)}</td></tr>'
    )
