"""How suspicious an order looks."""

from examples.orders.fraud import assess
from tests.examples.orders.forms import an_order


def test_an_order_like_any_other_scores_nothing() -> None:
    assessment = assess(an_order(), card_country="IE")
    assert (assessment.score, assessment.reasons, assessment.refused) == (0, (), False)


def test_one_sign_alone_refuses_nothing() -> None:
    assessment = assess(an_order(), card_country="FR")
    assert (assessment.score, assessment.reasons) == (35, ("card from another country",))
    assert not assessment.refused


def test_signs_add_up_to_a_refusal() -> None:
    order = an_order(lines=[{"sku": "SEXTANT-BRASS", "quantity": 10}])
    assessment = assess(order, card_country="FR")
    assert assessment.score == 80
    assert assessment.refused
