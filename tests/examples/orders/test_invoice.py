"""The invoice as a page and as a file."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from examples.orders.card import authorize
from examples.orders.invoice import Invoice, render_invoice, write_invoice
from tests.examples.orders.forms import a_form, an_order


def an_invoice(**fields: Any) -> Invoice:
    order = an_order(**fields)
    return Invoice(
        order=order,
        authorization=authorize("4242424242424242", order_id=order.order_id, amount_cents=order.total_cents),
        paid_at=datetime(2026, 3, 5, 12, tzinfo=UTC),
    )


def test_the_page_says_what_was_bought_and_paid() -> None:
    page = render_invoice(an_invoice())
    for shown in (
        "INV-T-1",
        "Ada Winter",
        "5 March 2026",
        "Field notebook",
        "29.00 €",
        "35.90 €",
        "ending in 4242",
    ):
        assert shown in page


def test_free_shipping_is_called_free() -> None:
    assert ">free<" in render_invoice(an_invoice(lines=[{"sku": "LAMP-CHART", "quantity": 1}]))


def test_names_cannot_bring_markup_with_them() -> None:
    customer = {**a_form()["customer"], "name": "<script>alert(1)</script>", "street": "Mayor 2 & 4"}
    page = render_invoice(an_invoice(customer=customer))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "Mayor 2 &amp; 4" in page


def test_writing_twice_gives_one_file_with_the_same_content(tmp_path: Path) -> None:
    path = write_invoice(an_invoice(), tmp_path / "invoices")
    first = path.read_bytes()
    assert write_invoice(an_invoice(), tmp_path / "invoices") == path
    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["INV-T-1.html"]
