"""Which orders can be filled, and what they cost."""

import json

import pytest
from examples.orders.catalogue import load_catalogue
from examples.orders.order import Order, euros
from examples.orders.validation import InvalidOrderError, validate
from tests.examples.orders.forms import a_form, an_order


def test_a_small_order_pays_for_shipping() -> None:
    order = an_order()
    assert (order.goods_cents, order.shipping_cents, order.total_cents) == (2_900, 690, 3_590)


def test_a_large_order_ships_free() -> None:
    order = an_order(lines=[{"sku": "LAMP-CHART", "quantity": 1}])
    assert (order.goods_cents, order.total_cents) == (12_400, 12_400)


def test_the_card_does_not_travel_with_the_order() -> None:
    assert "4242" not in json.dumps(an_order().to_json())


def test_an_order_travels_as_json_unchanged() -> None:
    order = an_order()
    assert Order.from_json(json.loads(json.dumps(order.to_json()))) == order


def test_every_mistake_is_named_at_once() -> None:
    form = a_form(
        lines=[
            {"sku": "NB-DOT-A5", "quantity": 0},
            {"sku": "NB-DOT-A5", "quantity": 1},
            {"sku": "KRAKEN", "quantity": 51},
        ],
        card={"number": "4242 4242 4242 4243", "country": "IE"},
    )
    form["customer"]["email"] = "ada"
    with pytest.raises(InvalidOrderError) as caught:
        validate(form, load_catalogue())
    assert caught.value.mistakes == [
        "no mail address: ada",
        "0 pieces of NB-DOT-A5: from 1 to 50 can be ordered",
        "article twice: NB-DOT-A5",
        "no such article: KRAKEN",
        "51 pieces of KRAKEN: from 1 to 50 can be ordered",
        "the card number has a typing error",
    ]
    assert str(caught.value).startswith("no mail address: ada; 0 pieces")


def test_an_order_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidOrderError, match="no article"):
        an_order(lines=[])


def test_amounts_are_written_as_people_read_them() -> None:
    assert [euros(cents) for cents in (0, 5, 690, 123_450)] == ["0.00 €", "0.05 €", "6.90 €", "1,234.50 €"]
