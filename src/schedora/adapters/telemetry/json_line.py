"""Lines of a log as JSON: each is one line, whatever is in it."""

import json
from typing import Any, Final

import orjson

from schedora.domain.errors import brief
from schedora.domain.ids import JsonText

FIELD_LENGTH_MAX: Final = 10_000
INTEGER_BITS_MAX: Final = 1_000
"""Python puts no endless ones into digits."""
_CUTS: Final = (2_000, 400, 80)
"""To how many characters the texts of a line are cut until it fits."""


def json_line(event: dict[str, Any]) -> JsonText:
    """The line of an event that says all that a line says."""
    try:
        return JsonText(orjson.dumps(event, default=brief, option=orjson.OPT_NON_STR_KEYS).decode())
    except (TypeError, ValueError, RecursionError):
        # Half characters, numbers beyond 64 bits, values inside of themselves: the line is told all the same.
        return JsonText(json.dumps({_name(name): _plain(value) for name, value in event.items()}))


def short_line(event: dict[str, Any], length_max: int) -> JsonText:
    """``json_line`` of at most so many characters: long texts lose their middle, and if need be, fields go."""
    line = json_line(event)
    for length in _CUTS:
        if len(line) <= length_max:
            return line
        line = json_line({name: _cut(value, length) for name, value in event.items()})
    if len(line) <= length_max:
        return line
    kept = {name: event[name] for name in ("timestamp", "level", "message", "logger") if name in event}
    return json_line({name: _cut(value, _CUTS[-1]) for name, value in kept.items()} | {"shortened": True})


def _cut(value: Any, length: int) -> Any:
    """``value`` as it is where it is short, else as text without its middle."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json_line({"": value})[4:-1]
    if len(text) <= length:
        return value
    half = length // 2
    return f"{text[:half]} … ({len(text)} characters) … {text[-half:]}"


def _name(name: object) -> str:
    return _whole(name) if isinstance(name, str) else brief(name)


def _plain(value: object) -> object:
    """As JSON where it is text or none of the things that JSON can't tell, else in words."""
    if isinstance(value, str):
        return _whole(value)
    if value is None or (isinstance(value, int) and value.bit_length() <= INTEGER_BITS_MAX):
        return value
    return brief(value, FIELD_LENGTH_MAX)


def _whole(text: str) -> str:
    """Half characters in words: as escapes of JSON, many readers refuse them, and all that stands beside."""
    return text.encode(errors="backslashreplace").decode()
