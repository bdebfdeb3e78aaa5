"""The card's number and the bank's answer."""

import pytest
from examples.orders.card import CardDeclinedError, authorize, passes_luhn
from hypothesis import given
from hypothesis import strategies as st


@given(st.text("0123456789", min_size=12, max_size=19), st.integers(0, 18), st.integers(1, 9))
def test_one_wrong_digit_never_passes(digits: str, position: int, shift: int) -> None:
    position %= len(digits)
    wrong = digits[:position] + str((int(digits[position]) + shift) % 10) + digits[position + 1 :]
    assert not (passes_luhn(digits) and passes_luhn(wrong))


@given(st.text("0123456789", min_size=11, max_size=18))
def test_exactly_one_check_digit_passes(digits: str) -> None:
    assert [passes_luhn(digits + check) for check in "0123456789"].count(True) == 1


@pytest.mark.parametrize("number", ["", "42", "4242-4242-4242-4242", "٤٢٤٢٤٢٤٢٤٢٤٢٤٢٤٢", "424242424242424²"])
def test_what_is_not_all_digits_or_too_short_does_not_pass(number: str) -> None:
    assert not passes_luhn(number)


def test_the_bank_promises_the_same_for_the_same_order_again() -> None:
    first = authorize("4242 4242 4242 4242", order_id="A-1", amount_cents=500)
    assert first == authorize("4242424242424242", order_id="A-1", amount_cents=500)
    assert first.code != authorize("4242424242424242", order_id="A-2", amount_cents=500).code
    assert (first.amount_cents, first.card_ending) == (500, "4242")


def test_the_bank_declines_without_naming_the_whole_number() -> None:
    with pytest.raises(CardDeclinedError, match="card ending in 0002 declined") as caught:
        authorize("4000 0000 0000 0002", order_id="A-1", amount_cents=500)
    assert "4000" not in str(caught.value)
