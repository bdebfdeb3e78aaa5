"""The rule for names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.errors import InvalidField
from schedora.domain.text import check_text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=10))
def test_what_can_be_stored_is_taken(text: str) -> None:
    check_text("name", text, length_max=10)


@given(
    st.text(max_size=10),
    st.sampled_from(["\x00", "\ud800", "\udbff", "\udc00", "\udfff"]),
    st.text(max_size=10),
)
def test_what_can_not_be_stored_is_refused(before: str, bad: str, after: str) -> None:
    text = before + bad + after
    with pytest.raises(InvalidField, match=r"^name must be 1 to 99 characters") as refused:
        check_text("name", text, length_max=99)
    assert (refused.value.field, refused.value.value) == ("name", text)


@pytest.mark.parametrize(("length", "taken"), [(1, False), (2, True), (4, True), (5, False)])
def test_length_counts_characters(length: int, taken: bool) -> None:
    text = "😀" * length
    if taken:
        check_text("name", text, length_min=2, length_max=4)
        return
    with pytest.raises(InvalidField, match="2 to 4 characters long"):
        check_text("name", text, length_min=2, length_max=4)
