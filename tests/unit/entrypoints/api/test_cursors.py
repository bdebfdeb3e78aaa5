from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.entrypoints.api.cursors import cursor_of, position_of


@given(st.uuids())
def test_a_cursor_leads_back_to_its_position(position: UUID) -> None:
    cursor = cursor_of(position)

    assert cursor is not None
    assert position_of(cursor) == position


def test_nothing_more_has_no_cursor() -> None:
    assert cursor_of(None) is None


@given(st.text())
def test_what_was_not_made_here_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="next_cursor"):
        position_of(text)


@pytest.mark.parametrize("text", ["!" * 22, "A" * 21 + "=", "-_" * 11 + "=="])
def test_what_is_as_long_as_a_cursor_is_none_yet(text: str) -> None:
    with pytest.raises(ValueError, match="next_cursor"):
        position_of(text)


def test_a_position_has_one_cursor_only() -> None:
    cursor = cursor_of(UUID(int=0)) or ""

    with pytest.raises(ValueError, match="next_cursor"):
        position_of(cursor[:-1] + "B")
