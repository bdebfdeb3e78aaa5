import json

import pytest

from schedora.entrypoints.api.field_count import FIELDS_MAX, OWN_FIELDS_MAX, TooManyFields, check_fields

WIDEST = {f"f{number}": 1 for number in range(OWN_FIELDS_MAX)}
MANY = FIELDS_MAX // OWN_FIELDS_MAX


@pytest.mark.parametrize(
    "document",
    [
        WIDEST,
        {"payload": {**WIDEST, "one": "more"}},
        {"jobs": [{"payload": {**WIDEST, "one": "more"}}, WIDEST]},
        {"jobs": [WIDEST] * (MANY - 1), "others": [1, 2.5, "x", None, [2]]},
        [1, 2_000_000],
        7,
    ],
    ids=["wide", "a payload", "a payload in a batch", "many", "a list", "a number"],
)
def test_what_jobs_can_have_is_let_through(document: object) -> None:
    check_fields(json.dumps(document).encode())


@pytest.mark.parametrize(
    "document",
    [{**WIDEST, "one": "more"}, {"jobs": [{}, {**WIDEST, "one": "more"}]}, {"jobs": [WIDEST] * MANY}],
    ids=["one object", "one row", "all rows"],
)
def test_more_fields_than_anything_has_are_refused(document: object) -> None:
    with pytest.raises(TooManyFields, match="are looked at"):
        check_fields(json.dumps(document).encode())


@pytest.mark.parametrize("document", [b"{", b"", b"\xff", b'{"a": 1}{}'])
def test_what_is_no_json(document: bytes) -> None:
    with pytest.raises(ValueError):
        check_fields(document)
