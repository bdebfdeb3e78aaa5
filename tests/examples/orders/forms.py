"""Orders as they come in, for tests."""

from typing import Any

from examples.orders.catalogue import load_catalogue
from examples.orders.order import Order
from examples.orders.validation import validate


def a_form(**fields: Any) -> dict[str, Any]:
    """Return a valid order form: two notebooks for Ada; only the interesting field is spelled out."""
    return {
        "order_id": "T-1",
        "customer": {
            "name": "Ada Winter",
            "email": "ada@example.org",
            "street": "12 Harbour Lane",
            "city": "Galway",
            "country": "IE",
        },
        "lines": [{"sku": "NB-DOT-A5", "quantity": 2}],
        "card": {"number": "4242 4242 4242 4242", "country": "IE"},
        **fields,
    }


def an_order(**fields: Any) -> Order:
    """Return the priced order of such a form."""
    return validate(a_form(**fields), load_catalogue())
