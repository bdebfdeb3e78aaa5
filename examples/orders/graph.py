"""The graph of an order, as any program in any language would post it to /api/v1/workflows.

validate → reserve → charge ─┬→ fraud ───┬→ invoice → confirm
                             └→ gateway ─┘
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STEPS = ("validate", "reserve", "charge", "fraud", "gateway", "invoice", "confirm")


def load_orders() -> Sequence[Mapping[str, Any]]:
    """Return the orders in the sequence they came in, one of them twice."""
    orders: Sequence[Mapping[str, Any]] = json.loads(
        Path(__file__).with_name("orders.json").read_text(encoding="utf-8")
    )
    return orders


def order_graph(form: Mapping[str, Any], *, name: str) -> dict[str, Any]:
    """Return the workflow of one order. Its name is what keeps the same order from being filled twice."""
    card = form["card"]
    return {
        "name": name,
        "description": f"{form['customer']['name']}, {form['customer']['city']}",
        "jobs": [
            _step("validate", {"form": form}),
            _step("reserve", after=["validate"]),
            _step(
                "charge",
                {"card_number": card["number"]},
                after=["reserve"],
                max_retries=2,
                retry_policy="exponential",
                retry_base_seconds=1,
            ),
            _step("fraud", {"card_country": card["country"]}, after=["charge"]),
            _step("gateway", after=["charge"]),
            _step("invoice", after=["fraud", "gateway"]),
            _step("confirm", after=["invoice"], max_retries=5, retry_policy="jitter", retry_base_seconds=1),
        ],
    }


def _step(
    key: str, payload: Mapping[str, Any] | None = None, *, after: Sequence[str] = (), **options: Any
) -> dict[str, Any]:
    return {
        "key": key,
        "type": f"orders.{key}",
        "queue": "orders",
        "payload": dict(payload or {}),
        "depends_on": list(after),
        **options,
    }
