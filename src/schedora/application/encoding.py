"""JSON at the edges: faithful or refused.

What is stored must come back as it went in, for every reader. So values without a JSON form (NaN, bytes,
objects), strings that no store takes (NUL, lone surrogates) and documents too deep for common parsers are
refused here, with the reason, instead of being bent into something else.
"""

import json
import math
import re
from typing import Any

import orjson

from schedora.application.errors import NotJson
from schedora.domain.errors import brief
from schedora.domain.ids import JsonText

DEPTH_MAX = 200
INTEGER_BITS_MAX = 1_023
"""Common parsers, orjson among them, read no number that a double can't hold at least roughly."""

_STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_NULL = JsonText("null")
_LONG_NUMBER = re.compile(r"[0-9]{19}")


def encode_json(value: object) -> JsonText:
    """``value`` encoded, keys sorted. Raises ``NotJson``."""
    if value is None:
        return _NULL
    try:
        document = orjson.dumps(value, option=_STRICT)
    except TypeError:
        return _encode_slowly(value)
    # orjson has forms of its own for some objects and writes NaN as null: that it takes a value says little.
    # Reading it again tells the same as a look at every part, and sooner.
    if _plain(document) and orjson.loads(document) == value:
        return JsonText(document.decode())
    _refuse_what_has_no_form(value)
    return JsonText(document.decode())


def decode_json(text: str | bytes) -> Any:
    """The value of a document that ``encode_json`` wrote, or any other. Raises ``NotJson``."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not valid JSON: {error}") from None
    if _LONG_NUMBER.search(text if isinstance(text, str) else text.decode()):
        return _decode_slowly(text)
    return value


def size_bytes(text: JsonText) -> int:
    """How many bytes a document takes, encoded."""
    return len(text) if text.isascii() else len(text.encode())


def _plain(document: bytes) -> bool:
    """Whether it is certain that nothing in it is a NUL or nested too deep."""
    return b"\\u0000" not in document and document.count(b"[") + document.count(b"{") <= DEPTH_MAX


def _refuse_what_has_no_form(value: object) -> None:
    """Raises ``NotJson`` for the first place without a JSON form."""
    try:
        _check(value, 0)
    except _NoForm as found:
        raise NotJson(str(found)) from None


def _encode_slowly(value: object) -> JsonText:
    """For integers beyond 64 bits and subclasses of the plain types, which orjson declines."""
    _refuse_what_has_no_form(value)
    return JsonText(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def _decode_slowly(text: str | bytes) -> Any:
    """For valid documents with integers beyond 64 bits, which orjson makes floats of."""
    try:
        return json.loads(text)
    except RecursionError:
        raise NotJson("not valid JSON: nested too deep") from None


class _NoForm(Exception):
    """Something has no JSON form. The path to it is gathered on the way out: it is rarely needed."""

    def __init__(self, problem: str, *, with_path: bool = True) -> None:
        self.path: list[str] = []
        self._problem = problem
        self._with_path = with_path

    def __str__(self) -> str:
        return f"{_shown(self.path)} {self._problem}" if self._with_path else self._problem


def _shown(steps: list[str]) -> str:
    """The path whose last step comes first, from ``$`` on."""
    path = "$" + "".join(reversed(steps))
    return path if len(path) <= 200 else f"{path[:100]}…{path[-99:]}"


def _check(value: object, depth: int) -> None:
    """Raises ``_NoForm`` for the first place without a JSON form."""
    if depth > DEPTH_MAX:
        raise _NoForm(f"nested deeper than {DEPTH_MAX} levels", with_path=False)
    if isinstance(value, str):
        _check_text(value)
    elif value is None:
        return
    elif isinstance(value, int):
        if value.bit_length() > INTEGER_BITS_MAX:
            raise _NoForm(
                f"is an integer of {value.bit_length()} bits, and at most {INTEGER_BITS_MAX} are read"
            )
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _NoForm(f"is {value}, which JSON can't express")
    elif isinstance(value, dict):
        _check_members(value, depth)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            try:
                _check(item, depth + 1)
            except _NoForm as found:
                found.path.append(f"[{index}]")
                raise
    else:
        raise _NoForm(f"is a {type(value).__name__}, which has no JSON form")


def _check_members(value: dict[Any, object], depth: int) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            raise _NoForm(f"has the key {brief(key)}, and keys must be strings")
        try:
            _check_text(key)
            _check(item, depth + 1)
        except _NoForm as found:
            found.path.append(f".{key if key.isidentifier() else brief(key)}")
            raise


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise _NoForm("contains the NUL character, which can't be stored")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _NoForm("contains a lone surrogate, which is not valid Unicode")
