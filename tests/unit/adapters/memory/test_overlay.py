"""A table as one transaction sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.adapters.memory.overlay import Change, Overlay

keys = st.sampled_from("abc")
tables = st.dictionaries(keys, st.integers(0, 9))
commands = st.lists(st.tuples(keys, st.none() | st.integers(0, 9)))


@given(tables, commands)
def test_overlay_is_what_a_copy_would_be_and_the_table_stays_as_it_was(
    committed: dict[str, int], changes: list[tuple[str, int | None]]
) -> None:
    before, copy, overlay = dict(committed), dict(committed), Overlay(committed)
    for key, value in changes:
        if value is not None:
            overlay[key] = copy[key] = value
        elif key in copy:
            del overlay[key], copy[key]
        else:
            with pytest.raises(KeyError):
                del overlay[key]
        assert dict(overlay) == copy
        assert len(overlay) == len(copy)
        assert sorted(overlay) == sorted(copy)
        assert {key: key in overlay for key in "abc"} == {key: key in copy for key in "abc"}
    assert committed == before
    told = {change.key: change for change in overlay.changes()}
    for key in "abc":
        if key in told:
            assert told[key] == Change(key, before.get(key), copy.get(key))
        else:
            assert copy.get(key) == before.get(key)
    overlay.apply()
    assert committed == copy


def test_what_is_not_there_can_not_be_read() -> None:
    overlay = Overlay({"a": 1})
    del overlay["a"]
    for key in "ab":
        with pytest.raises(KeyError):
            overlay[key]
    assert overlay.get("a") is None
