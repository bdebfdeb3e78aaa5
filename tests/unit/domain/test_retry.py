"""Whether to try again, and when: exactly, whatever the numbers."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schedora.domain.errors import InvalidField
from schedora.domain.retry import DELAY_LIMIT, MICROSECOND, RETRIES_LIMIT, RetryKind, RetryPolicy

SECOND = timedelta(seconds=1)
LARGEST_UNIT = 1 - 2**-53
"""The greatest number below 1 that chance may yield."""

delays = st.timedeltas(min_value=timedelta(0), max_value=DELAY_LIMIT)
units = st.floats(min_value=0, max_value=LARGEST_UNIT)
retries = st.integers(min_value=0, max_value=10**9)


def exact_exponential_us(base: timedelta, retries_made: int, max_delay: timedelta) -> Fraction:
    """``base * 2**n``, capped, in rational numbers. Past the 64th doubling no cap is left to pass."""
    doubled = Fraction(base // MICROSECOND) * (1 << min(retries_made, 64))
    return min(doubled, Fraction(max_delay // MICROSECOND))


@pytest.mark.parametrize(
    ("kind", "retries_made", "seconds"),
    [
        (RetryKind.FIXED, 0, 60),
        (RetryKind.FIXED, 7, 60),
        (RetryKind.EXPONENTIAL, 0, 60),
        (RetryKind.EXPONENTIAL, 1, 120),
        (RetryKind.EXPONENTIAL, 2, 240),
        (RetryKind.EXPONENTIAL, 5, 1920),
        (RetryKind.EXPONENTIAL, 6, 3600),
        (RetryKind.EXPONENTIAL, 10**9, 3600),
        (RetryKind.JITTER, 2, 240),
        (RetryKind.JITTER, 10**9, 3600),
    ],
)
def test_delays_of_the_default_policy(kind: RetryKind, retries_made: int, seconds: int) -> None:
    assert RetryPolicy(kind=kind).delay(retries_made, 0.0) == seconds * SECOND


@given(delays, delays, retries, units)
def test_fixed_is_base_within_the_cap(base: timedelta, cap: timedelta, n: int, unit: float) -> None:
    policy = RetryPolicy(kind=RetryKind.FIXED, base=base, max_delay=cap)
    assert policy.delay(n, unit) == min(base, cap)


@given(delays, delays, retries, units)
@example(MICROSECOND, DELAY_LIMIT, 44, 0.5)
@example(MICROSECOND, DELAY_LIMIT, 45, 0.5)
@example(DELAY_LIMIT, DELAY_LIMIT, 0, 0.5)
@example(timedelta(0), DELAY_LIMIT, 10**9, 0.5)
@example(SECOND, timedelta(0), 0, 0.5)
def test_exponential_is_exact(base: timedelta, cap: timedelta, n: int, unit: float) -> None:
    policy = RetryPolicy(kind=RetryKind.EXPONENTIAL, base=base, max_delay=cap)
    assert Fraction(policy.delay(n, unit) // MICROSECOND) == exact_exponential_us(base, n, cap)


@given(delays, delays, retries, units)
@example(MICROSECOND, DELAY_LIMIT, 0, LARGEST_UNIT)
@example(2 * MICROSECOND, DELAY_LIMIT, 0, LARGEST_UNIT)
@example(DELAY_LIMIT / 2, DELAY_LIMIT, 0, LARGEST_UNIT)
@example(DELAY_LIMIT / 2 - MICROSECOND, DELAY_LIMIT, 0, LARGEST_UNIT)
@example((1 << 43) * MICROSECOND, DELAY_LIMIT, 0, LARGEST_UNIT)
def test_jitter_adds_less_than_half_and_stays_within_the_cap(
    base: timedelta, cap: timedelta, n: int, unit: float
) -> None:
    exponential = exact_exponential_us(base, n, cap)
    policy = RetryPolicy(kind=RetryKind.JITTER, base=base, max_delay=cap)
    delay = Fraction(policy.delay(n, unit) // MICROSECOND)
    assert exponential <= delay
    assert delay < exponential * Fraction(3, 2) or delay == exponential == 0
    assert delay <= cap // MICROSECOND


@given(st.timedeltas(min_value=SECOND, max_value=DELAY_LIMIT / 4), units)
def test_jitter_lies_where_chance_places_it(base: timedelta, unit: float) -> None:
    policy = RetryPolicy(kind=RetryKind.JITTER, base=base, max_delay=DELAY_LIMIT)
    wanted = Fraction(base // MICROSECOND) * (1 + Fraction(unit) / 2)
    # 53 bits of a float hold 31 million seconds to well below a microsecond.
    assert abs(Fraction(policy.delay(0, unit) // MICROSECOND) - wanted) <= 1


@given(retries, st.integers(min_value=0, max_value=RETRIES_LIMIT))
def test_retries_are_left_until_all_are_made(made: int, allowed: int) -> None:
    assert RetryPolicy(max_retries=allowed).retries_left(made) is (made < allowed)


@pytest.mark.parametrize("unit", [-0.001, 1.0, 1.5, float("nan"), float("inf")])
def test_chance_out_of_range_is_refused(unit: float) -> None:
    with pytest.raises(ValueError, match="unit_random"):
        RetryPolicy().delay(0, unit)


def test_negative_number_of_retries_is_refused() -> None:
    with pytest.raises(ValueError, match="retries_made"):
        RetryPolicy().delay(-1, 0.0)


@pytest.mark.parametrize(
    ("field", "fields", "said"),
    [
        ("max_retries", {"max_retries": -1}, "between 0 and 100, not -1"),
        ("max_retries", {"max_retries": 101}, "between 0 and 100, not 101"),
        ("retry_base_seconds", {"base": -SECOND}, "between 0 and 31622400 seconds, not -1.0"),
        (
            "retry_base_seconds",
            {"base": DELAY_LIMIT + SECOND},
            "between 0 and 31622400 seconds, not 31622401.0",
        ),
        ("retry_max_seconds", {"max_delay": -MICROSECOND}, "between 0 and 31622400 seconds, not -1e-06"),
        ("retry_max_seconds", {"max_delay": DELAY_LIMIT + SECOND}, "0 and 31622400 seconds, not 31622401.0"),
    ],
)
def test_policy_out_of_bounds_names_its_field_and_what_is_allowed(
    field: str, fields: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidField, match=said) as caught:
        RetryPolicy(**fields)  # type: ignore[arg-type]  # each value fits the field that it is given for
    assert caught.value.field == field


def test_policy_at_its_bounds_is_taken() -> None:
    RetryPolicy(max_retries=0, base=timedelta(0), max_delay=timedelta(0))
    RetryPolicy(max_retries=RETRIES_LIMIT, base=DELAY_LIMIT, max_delay=DELAY_LIMIT)
