"""An order as it comes in, and as it travels from step to step once it is priced."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from attrs import asdict, frozen


@frozen(kw_only=True)
class Customer:
    """Who ordered, and where the goods go. `country` is an ISO 3166 code of two letters."""

    name: str
    email: str
    street: str
    city: str
    country: str


@frozen(kw_only=True)
class Line:
    """One article of an order, with the price of the day it was validated."""

    sku: str
    name: str
    quantity: int
    unit_price_cents: int

    @property
    def total_cents(self) -> int:
        """The price of the whole line."""
        return self.quantity * self.unit_price_cents


@frozen(kw_only=True)
class Order:
    """A priced order. It carries no card: what need not travel does not."""

    order_id: str
    customer: Customer
    lines: Sequence[Line]
    shipping_cents: int

    @property
    def goods_cents(self) -> int:
        """The price of all lines together."""
        return sum(line.total_cents for line in self.lines)

    @property
    def total_cents(self) -> int:
        """What the customer pays, shipping included."""
        return self.goods_cents + self.shipping_cents

    def to_json(self) -> dict[str, Any]:
        """Return the order as JSON, read back unchanged by `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the order that `to_json` wrote."""
        return cls(
            order_id=document["order_id"],
            customer=Customer(**document["customer"]),
            lines=tuple(Line(**line) for line in document["lines"]),
            shipping_cents=document["shipping_cents"],
        )


def euros(cents: int) -> str:
    """Return an amount as people write it: 1,234.50 €."""
    return f"{cents // 100:,}.{cents % 100:02} €"
