"""The first step: whether an order can be filled, and what it costs."""

from collections.abc import Iterator, Mapping
from typing import Any

from examples.orders.card import digits_of, passes_luhn
from examples.orders.catalogue import Product
from examples.orders.order import Customer, Line, Order

FREE_SHIPPING_FROM_CENTS = 10_000
SHIPPING_CENTS = 690
MOST_PIECES_OF_ONE_ARTICLE = 50


class InvalidOrderError(ValueError):
    """The order cannot be filled as it stands; `mistakes` names everything that is wrong with it."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


def validate(form: Mapping[str, Any], catalogue: Mapping[str, Product]) -> Order:
    """Return the priced order.

    Raises InvalidOrderError, which lists every mistake and not just the first.
    """
    mistakes = list(_mistakes(form, catalogue))
    if mistakes:
        raise InvalidOrderError(mistakes)
    lines = tuple(
        Line(
            sku=line["sku"],
            name=catalogue[line["sku"]].name,
            quantity=line["quantity"],
            unit_price_cents=catalogue[line["sku"]].unit_price_cents,
        )
        for line in form["lines"]
    )
    goods_cents = sum(line.total_cents for line in lines)
    return Order(
        order_id=form["order_id"],
        customer=Customer(**form["customer"]),
        lines=lines,
        shipping_cents=0 if goods_cents >= FREE_SHIPPING_FROM_CENTS else SHIPPING_CENTS,
    )


def _mistakes(form: Mapping[str, Any], catalogue: Mapping[str, Product]) -> Iterator[str]:
    local, _, domain = form["customer"]["email"].partition("@")
    if not local or "." not in domain:
        yield f"no mail address: {form['customer']['email']}"
    if not form["lines"]:
        yield "no article"
    seen = set()
    for line in form["lines"]:
        sku, quantity = line["sku"], line["quantity"]
        if sku not in catalogue:
            yield f"no such article: {sku}"
        if not 1 <= quantity <= MOST_PIECES_OF_ONE_ARTICLE:
            yield f"{quantity} pieces of {sku}: from 1 to {MOST_PIECES_OF_ONE_ARTICLE} can be ordered"
        if sku in seen:
            yield f"article twice: {sku}"
        seen.add(sku)
    if not passes_luhn(digits_of(form["card"]["number"])):
        yield "the card number has a typing error"
