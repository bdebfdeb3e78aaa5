"""Time-ordered ids."""

from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.ids import uuid7

times = st.integers(0, 2**48 - 1)
randoms = st.integers(0, 2**74 - 1)


@given(times, randoms)
def test_layout_is_that_of_the_standard(unix_ms: int, random: int) -> None:
    made = uuid7(unix_ms, random)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == unix_ms
    assert (made.int >> 64 & 0xFFF) << 62 | made.int & (1 << 62) - 1 == random


@given(st.tuples(times, randoms), st.tuples(times, randoms))
def test_order_is_that_of_time_then_chance(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (uuid7(*one) < uuid7(*other)) is (one < other)


def test_known_value() -> None:
    # The example of RFC 9562, appendix A.6.
    assert (
        str(uuid7(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
    )


@pytest.mark.parametrize(("unix_ms", "random"), [(-1, 0), (2**48, 0), (0, -1), (0, 2**74)])
def test_what_does_not_fit_is_refused(unix_ms: int, random: int) -> None:
    with pytest.raises(ValueError, match="must fit"):
        uuid7(unix_ms, random)
