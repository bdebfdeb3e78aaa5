"""The orders of the example and the graph that is made of each."""

from collections import Counter

import pytest
from examples.orders.card import CardDeclinedError, authorize
from examples.orders.catalogue import load_catalogue
from examples.orders.fraud import assess
from examples.orders.graph import STEPS, load_orders, order_graph
from examples.orders.validation import validate
from tests.examples.orders.forms import a_form


def test_the_steps_stand_in_their_order() -> None:
    graph = order_graph(a_form(), name="order T-1")
    assert graph["name"] == "order T-1"
    assert {job["key"]: job["depends_on"] for job in graph["jobs"]} == {
        "validate": [],
        "reserve": ["validate"],
        "charge": ["reserve"],
        "fraud": ["charge"],
        "gateway": ["charge"],
        "invoice": ["fraud", "gateway"],
        "confirm": ["invoice"],
    }
    assert [job["type"] for job in graph["jobs"]] == [f"orders.{step}" for step in STEPS]


def test_only_the_steps_that_need_the_card_know_it() -> None:
    graph = order_graph(a_form(), name="order T-1")
    knowing = [job["key"] for job in graph["jobs"] if "4242" in str(job["payload"])]
    assert knowing == ["validate", "charge"]


def test_the_example_has_the_cases_that_the_demo_tells_of() -> None:
    catalogue = load_catalogue()
    forms = load_orders()
    by_id = {form["order_id"]: form for form in forms}
    times = Counter(form["order_id"] for form in forms)
    assert times == {f"A-100{number}": 2 if number == 3 else 1 for number in range(1, 9)}
    orders = {order_id: validate(form, catalogue) for order_id, form in by_id.items()}

    wanted: Counter[str] = Counter()
    for order in orders.values():
        wanted.update({line.sku: line.quantity for line in order.lines})
    short = {sku for sku, quantity in wanted.items() if quantity > catalogue[sku].stock}
    assert short == {"SEXTANT-BRASS"}, "all but the sextant must be on the shelf in any order of events"

    with pytest.raises(CardDeclinedError):
        authorize(by_id["A-1004"]["card"]["number"], order_id="A-1004", amount_cents=1)
    for order_id, order in orders.items():
        assert not assess(order, card_country=by_id[order_id]["card"]["country"]).refused
