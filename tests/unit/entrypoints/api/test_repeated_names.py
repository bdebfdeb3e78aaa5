import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.entrypoints.api.repeated_names import Location, repeated_name

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inside: (
        st.lists(inside) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inside)
    ),
)


@pytest.mark.parametrize(
    ("document", "location"),
    [
        ('{"a":1,"a":1}', ("a",)),
        ('{"a":1,"b":2,"\\u0061":3}', ("a",)),
        ('{"a":{"b":[0,{"c":1,"d":2,"c":3}]}}', ("a", "b", 1, "c")),
        ('[{"a":1},{"":1,"":2}]', (1, "")),
        ('{"a":{"b":1,"b":2},"a":1}', ("a",)),
    ],
)
def test_the_first_is_found_with_its_place(document: str, location: Location) -> None:
    assert repeated_name(document.encode()) == location


@pytest.mark.parametrize(
    "document",
    [
        '{"a":{"a":{"a":1}}}',
        '[{"a":1},{"a":1}]',
        '{"a":1,"A":2,"":3}',
        f'{{"a":{"1" * 10_000}}}',
        "{}",
        "1",
        ' "x"\n',
    ],
    ids=lambda document: document[:20],
)
def test_names_that_stand_once_an_object(document: str) -> None:
    assert repeated_name(document.encode()) is None


@given(DOCUMENTS)
def test_no_document_that_was_encoded_repeats_a_name(document: object) -> None:
    assert repeated_name(json.dumps(document).encode()) is None
