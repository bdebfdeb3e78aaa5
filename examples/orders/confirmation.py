"""The confirmation: the mail that tells the customer, with the invoice attached, and its way out over SMTP."""

import smtplib
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

from attrs import frozen
from examples.orders.invoice import SHOP_NAME
from examples.orders.order import Order, euros

SENDER = f"{SHOP_NAME} <orders@meridian.example>"


@frozen(kw_only=True)
class MailServer:
    """Where mail is handed over."""

    host: str
    port: int
    timeout_seconds: float = 10.0


def compose(order: Order, *, invoice_page: Path, paid_at: datetime) -> EmailMessage:
    """Return the mail. The same order gives the same Message-ID, by which a second delivery is known."""
    lines = "\n".join(
        f"  {line.quantity:>3} × {line.name:<32} {euros(line.total_cents):>12}" for line in order.lines
    )
    message = EmailMessage()
    message["From"] = SENDER
    message["To"] = order.customer.email
    message["Subject"] = f"Your order {order.order_id} is on its way"
    message["Date"] = format_datetime(paid_at)
    message["Message-ID"] = f"<{order.order_id}.confirmation@meridian.example>"
    message.set_content(
        f"Dear {order.customer.name},\n\nthank you for your order {order.order_id}:\n\n{lines}\n\n"
        f"We have received {euros(order.total_cents)}; the invoice is attached.\n\n{SHOP_NAME}\n"
    )
    page = invoice_page.read_text(encoding="utf-8")
    message.add_attachment(page, subtype="html", filename=invoice_page.name)
    return message


def deliver(message: EmailMessage, server: MailServer) -> None:
    """Hand the mail to the server.

    Raises OSError when it cannot be reached and smtplib.SMTPException when it refuses.
    """
    with smtplib.SMTP(server.host, server.port, timeout=server.timeout_seconds) as connection:
        connection.send_message(message)
