"""JSON comes back as it went in, or is refused with the reason and the place."""

import json
from collections import OrderedDict
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.application.encoding import DEPTH_MAX, INTEGER_BITS_MAX, decode_json, encode_json
from schedora.application.errors import NotJson

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
numbers = st.integers() | st.integers(-(2**66), 2**66) | st.floats(allow_nan=False, allow_infinity=False)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


@given(documents)
def test_what_goes_in_comes_back(document: Any) -> None:
    back = decode_json(encode_json(document))
    assert back == document
    assert json.dumps(back, sort_keys=True) == json.dumps(document, sort_keys=True)  # 1 is not 1.0, nor True


@given(st.dictionaries(texts, st.integers()))
def test_equal_objects_have_equal_texts(document: dict[str, int]) -> None:
    backwards = dict(reversed(document.items()))
    assert encode_json(document) == encode_json(backwards)


@given(documents)
def test_other_parsers_read_it_as_well(document: Any) -> None:
    assert json.loads(encode_json(document)) == document


@given(st.integers(2**63, 2**80) | st.integers(-(2**80), -(2**63)))
def test_integers_beyond_64_bits_stay_exact(number: int) -> None:
    assert decode_json(encode_json({"n": [number]})) == {"n": [number]}
    assert decode_json(encode_json(number).encode()) == number


@pytest.mark.parametrize("text", [r"\u0000", "\\\\u0000", "a\\", "\x7f\x01", '"', " "])
def test_what_only_looks_like_an_escape_is_text(text: str) -> None:
    assert decode_json(encode_json(text)) == text


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


class Name(StrEnum):
    ADA = "ada"


class Point(NamedTuple):
    x: int
    y: int


class Thing:
    def __repr__(self) -> str:
        raise RuntimeError("no name")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "$ is nan, which JSON can't express"),
        ({"a": [1.0, float("inf")]}, "$.a[1] is inf, which JSON can't express"),
        ([None, float("-inf")], "$[1] is -inf, which JSON can't express"),
        ({"a": {"b c": "x\x00y"}}, "$.a.'b c' contains the NUL character, which can't be stored"),
        ({"\x00": 1}, r"$.'\x00' contains the NUL character, which can't be stored"),
        (["\ud800"], "$[0] contains a lone surrogate, which is not valid Unicode"),
        ({"\udfff": 1}, r"$.'\udfff' contains a lone surrogate, which is not valid Unicode"),
        ({1: 2}, "$ has the key 1, and keys must be strings"),
        ({"a": {None: 2}}, "$.a has the key None, and keys must be strings"),
        (datetime(2030, 1, 1, tzinfo=UTC), "$ is a datetime, which has no JSON form"),
        ({"id": UUID(int=7)}, "$.id is a UUID, which has no JSON form"),
        ({"id": UUID(int=7), "other": None}, "$.id is a UUID, which has no JSON form"),
        ({"color": Color.RED}, "$.color is a Color, which has no JSON form"),
        (b"bytes", "$ is a bytes, which has no JSON form"),
        ({1, 2}, "$ is a set, which has no JSON form"),
        (Path("x"), f"$ is a {type(Path('x')).__name__}, which has no JSON form"),
        (Thing(), "$ is a Thing, which has no JSON form"),
        (1 + 2j, "$ is a complex, which has no JSON form"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_faithful_form_is_refused(value: Any, reason: str) -> None:
    with pytest.raises(NotJson) as refused:
        encode_json(value)
    assert str(refused.value) == reason
    assert refused.value.reason.isprintable()


def test_a_key_whose_repr_raises_is_refused_all_the_same() -> None:
    with pytest.raises(NotJson, match="whose repr raises RuntimeError"):
        encode_json({Thing(): 1})


@pytest.mark.parametrize(
    ("value", "back"),
    [
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (Level.HIGH, 2),
        ({Name.ADA: Name.ADA}, {"ada": "ada"}),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}),
    ],
    ids=repr,
)
def test_subclasses_of_plain_types_are_what_they_extend(value: Any, back: Any) -> None:
    assert decode_json(encode_json(value)) == back


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def test_depth_has_a_limit() -> None:
    assert decode_json(encode_json(nested(DEPTH_MAX))) == nested(DEPTH_MAX)
    for levels in (DEPTH_MAX + 1, 10_000):
        with pytest.raises(NotJson, match=f"nested deeper than {DEPTH_MAX} levels"):
            encode_json(nested(levels))


def test_what_contains_itself_is_too_deep() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(NotJson, match="nested deeper"):
        encode_json(circle)


def test_breadth_has_none() -> None:
    wide = [[index] for index in range(10 * DEPTH_MAX)]
    assert decode_json(encode_json(wide)) == wide


def test_a_reason_stays_short_however_long_the_path() -> None:
    with pytest.raises(NotJson) as refused:
        encode_json({"k" * 1_000_000: {"l" * 1_000_000: float("nan")}})
    assert len(refused.value.reason) < 300


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_written_can_be_read_however_large_the_integer(sign: int) -> None:
    largest = sign * (2**INTEGER_BITS_MAX - 1)
    assert decode_json(encode_json([largest])) == [largest]
    for larger in (largest + sign, sign * 10**400, sign * 10**5_000):
        with pytest.raises(NotJson, match=r"^\$\[0\] is an integer of \d+ bits"):
            encode_json([larger])


@pytest.mark.parametrize("depth", [500, 1_000, 1_020])
def test_deep_document_with_a_long_number_is_read_or_refused(depth: int) -> None:
    try:
        value = decode_json("[" * depth + "12345678901234567890" + "]" * depth)
    except NotJson:
        assert depth > 900
    else:
        for _ in range(depth):
            [value] = value
        assert value == 12345678901234567890


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[1,]", '"\\ud800"', "'x'", "1e999", "[" * 5_000 + "]" * 5_000, "9" * 5_000, b"\xff"],
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(NotJson, match="not valid JSON"):
        decode_json(text)
