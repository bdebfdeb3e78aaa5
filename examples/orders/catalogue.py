"""What the shop sells, at which price, and how many pieces it opened with."""

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen


@frozen(kw_only=True)
class Product:
    """One article of the shop; `stock` is what the shelf held on the first day."""

    sku: str
    name: str
    unit_price_cents: int
    stock: int


def load_catalogue() -> Mapping[str, Product]:
    """Return the products by their stock-keeping unit."""
    rows = json.loads(Path(__file__).with_name("catalogue.json").read_text(encoding="utf-8"))
    return {row["sku"]: Product(**row) for row in rows}
