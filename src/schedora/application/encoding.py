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

_STRICT = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def encode_json(value: object) -> JsonText:
    """``value`` encoded, keys sorted. Raises ``NotJson``."""
    try:
        text = orjson.dumps(value, option=_STRICT).decode()
    except (TypeError, ValueError, RecursionError):
        text = _encode_carefully(value)
    else:
        # orjson writes NaN and infinities as null, so any null may be one.
        if "null" in text or text.count("[") + text.count("{") > DEPTH_MAX:
            _check(value, "$", 0)
    if "\\u0000" in text and _ESCAPED_NUL.search(text):
        raise NotJson("a string contains the NUL character, which can't be stored")
    return JsonText(text)


def decode_json(text: str | bytes) -> Any:
    """The value of a document that ``encode_json`` wrote, or any other. Raises ``NotJson``."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise NotJson(f"not valid JSON: {error}") from None


def _encode_carefully(value: object) -> str:
    """For what orjson declines: says why, or encodes integers beyond 64 bits."""
    _check(value, "$", 0)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(f"no JSON form: {brief(error)}") from None


def _check(value: object, path: str, depth: int) -> None:
    """Raises ``NotJson`` that names the first place without a JSON form."""
    if depth > DEPTH_MAX:
        raise NotJson(f"nested deeper than {DEPTH_MAX} levels")
    if value is None or isinstance(value, bool | int):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise NotJson(f"{path} is {value}, which JSON can't express")
    elif isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise NotJson(f"{path} contains a lone surrogate, which is not valid Unicode")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise NotJson(f"{path} has the key {brief(key)}, and keys must be strings")
            _check(key, f"{path}.{brief(key)}", depth)
            _check(item, f"{path}.{key}", depth + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", depth + 1)
    else:
        raise NotJson(f"{path} is a {type(value).__name__}, which has no JSON form")
