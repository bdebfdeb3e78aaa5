"""A table as one transaction sees it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.adapters.memory.draft import Change, Draft

keys = st.sampled_from("abc")
tables = st.dictionaries(keys, st.integers(0, 9))
commands = st.lists(st.tuples(keys, st.none() | st.integers(0, 9)))


@given(tables, commands)
def test_draft_is_what_a_copy_would_be_and_the_table_stays_as_it_was(
    committed: dict[str, int], changes: list[tuple[str, int | None]]
) -> None:
    before, copy, draft = dict(committed), dict(committed), Draft(committed)
    for key, value in changes:
        if value is not None:
            draft[key] = copy[key] = value
        elif key in copy:
            del draft[key], copy[key]
        else:
            with pytest.raises(KeyError):
                del draft[key]
        assert dict(draft) == copy
        assert len(draft) == len(copy)
        assert sorted(draft) == sorted(copy)
        assert {key: key in draft for key in "abc"} == {key: key in copy for key in "abc"}
    assert committed == before
    told = {change.key: change for change in draft.changes()}
    for key in "abc":
        if key in told:
            assert told[key] == Change(key, before.get(key), copy.get(key))
        else:
            assert copy.get(key) == before.get(key)
    draft.apply()
    assert committed == copy


def test_what_is_not_there_can_not_be_read() -> None:
    draft = Draft({"a": 1})
    del draft["a"]
    for key in "ab":
        with pytest.raises(KeyError):
            draft[key]
    assert draft.get("a") is None
