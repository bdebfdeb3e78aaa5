"""How far an order is to be trusted."""

from collections.abc import Sequence

from attrs import frozen
from examples.orders.order import Order

REFUSED_FROM = 60
"""The score from which an order is refused."""


@frozen(kw_only=True)
class Assessment:
    """The score of an order, 0 being an order like any other, and what it is made of."""

    score: int
    reasons: Sequence[str]

    @property
    def refused(self) -> bool:
        """Whether the order is not to be delivered."""
        return self.score >= REFUSED_FROM


def assess(order: Order, *, card_country: str) -> Assessment:
    """Return how suspicious the order looks."""
    signs = (
        (35, card_country != order.customer.country, "card from another country"),
        (30, order.total_cents > 100_000, "worth more than 1,000 €"),
        (15, any(line.quantity >= 10 for line in order.lines), "ten or more of one article"),
    )
    found = [(points, reason) for points, applies, reason in signs if applies]
    return Assessment(score=sum(points for points, _ in found), reasons=tuple(reason for _, reason in found))
