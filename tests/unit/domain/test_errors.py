"""Messages fit for the person who broke the rule, whatever the value was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.errors import CycleFound, DuplicateKey, IllegalMove, InvalidField, UnknownKey, brief


def test_message_names_field_rule_and_value() -> None:
    error = InvalidField("priority", 11, "between 0 and 10")
    assert str(error) == "priority must be between 0 and 10, not 11"
    assert (error.field, error.value, error.allowed) == ("priority", 11, "between 0 and 10")


@given(st.text() | st.binary() | st.floats() | st.lists(st.text()))
def test_value_is_shown_briefly_and_can_be_printed(value: object) -> None:
    text = brief(value)
    assert len(text) <= 80
    text.encode("utf-8")


def test_megabyte_is_shown_by_its_beginning() -> None:
    assert brief("x" * 10**6) == "'" + "x" * 78 + "…"
    assert brief("x" * 100, length_max=10) == "'xxxxxxxx…"


@pytest.mark.parametrize("raised", [ValueError("no"), RecursionError()])
def test_value_whose_repr_raises_is_shown_by_its_type(raised: Exception) -> None:
    class Sly:
        def __repr__(self) -> str:
            raise raised

    assert brief(Sly()) == f"<Sly whose repr raises {type(raised).__name__}>"


def test_lone_surrogates_are_escaped() -> None:
    class Sly:
        def __repr__(self) -> str:
            return "\ud800"

    assert "\ud800" not in brief("\ud800")
    assert brief(Sly()) == "\\ud800"


def test_path_is_kept_apart_from_the_message() -> None:
    assert CycleFound(["a", "b", "a"]).path == ("a", "b", "a")


def test_errors_of_a_graph_name_the_jobs() -> None:
    twice = DuplicateKey("a")
    assert (str(twice), twice.path) == ("the key 'a' is used by more than one job", ("a",))
    missing = UnknownKey("a", "b")
    assert str(missing) == "'a' depends on 'b', which is not in this workflow"
    assert missing.path == ("a", "b")


def test_a_move_that_is_not_allowed_is_told_with_its_ends() -> None:
    error = IllegalMove("SUCCESS", "PENDING")
    assert str(error) == "a job can't move from SUCCESS to PENDING"
    assert (error.from_state, error.to_state) == ("SUCCESS", "PENDING")
