"""The card: its number's check digit, and the bank's answer to a charge.

No bank stands behind the example. The well-known test numbers decide instead, as in the sandbox of any
payment provider: 4000 0000 0000 0002 is always declined, every other valid number is accepted.
"""

from hashlib import sha256

from attrs import frozen

DECLINED_NUMBER = "4000000000000002"


class CardDeclinedError(Exception):
    """The bank refuses the charge. It may think better of it, so that trying again is no nonsense."""


@frozen(kw_only=True)
class Authorization:
    """The bank's promise to pay an amount."""

    code: str
    amount_cents: int
    card_ending: str


def authorize(number: str, *, order_id: str, amount_cents: int) -> Authorization:
    """Return the bank's promise for the amount; the same order and amount give the same code.

    Raises CardDeclinedError when the bank refuses.
    """
    digits = digits_of(number)
    if digits == DECLINED_NUMBER:
        raise CardDeclinedError(f"card ending in {digits[-4:]} declined: insufficient funds")
    code = sha256(f"{order_id} {amount_cents}".encode()).hexdigest()[:10].upper()
    return Authorization(code=code, amount_cents=amount_cents, card_ending=digits[-4:])


def digits_of(number: str) -> str:
    """Return the number without the blanks that people type."""
    return number.replace(" ", "")


def passes_luhn(digits: str) -> bool:
    """Tell whether the check digit is right; what is not all digits, or too short, is not."""
    if not (digits.isascii() and digits.isdigit() and len(digits) >= 12):
        return False
    doubled = [int(digit) * (2 if position % 2 else 1) for position, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
