import json

from hypothesis import given
from hypothesis import strategies as st

from schedora.application.encoding import encode_json
from schedora.entrypoints.api.encoded_size import least_bytes

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(VALUES, st.booleans(), st.none() | st.integers(0, 4))
def test_it_is_never_more_than_the_value_takes(value: object, ascii_only: bool, indent: int | None) -> None:
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert least_bytes(written) <= len(encode_json(json.loads(written)).encode())


def test_a_number_can_be_written_at_any_length() -> None:
    assert least_bytes(b"[" + b"1." + b"0" * 1_000 + b"E+0000]") == 2


def test_what_can_not_be_written_shorter_counts_in_full() -> None:
    assert least_bytes(b'{"":[[],[],{},"xyz"]}') == 21
