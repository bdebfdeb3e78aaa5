"""Names that stand more than once in one JSON object: of their values, parsers keep one and pass over the others."""

import json
from typing import Any

from attrs import frozen

Location = tuple[int | str, ...]


class _Repeated(Exception):
    pass


@frozen
class _Object:
    members: list[tuple[str, Any]]


def repeated_name(document: bytes) -> Location | None:
    """Where a name first comes again in ``document``, which is JSON; None where each stands once."""
    text = document.decode()
    try:
        _CHECK.decode(text)
    except _Repeated:
        return _found(_KEEP.decode(text))
    return None


def _once(members: list[tuple[str, Any]]) -> None:
    if len(members) > 1 and len(dict(members)) < len(members):
        raise _Repeated


# Numbers are of no interest; as floats, they may have any number of digits.
_CHECK = json.JSONDecoder(object_pairs_hook=_once, parse_int=float)
_KEEP = json.JSONDecoder(object_pairs_hook=_Object, parse_int=float)


def _found(value: Any) -> Location | None:
    seen: set[str] = set()
    inside: list[tuple[int | str, Any]] = []
    match value:
        case _Object(members=members):
            for name, member in members:
                if name in seen:
                    return (name,)
                seen.add(name)
                inside.append((name, member))
        case list():
            inside = list(enumerate(value))
    for place, member in inside:
        if (location := _found(member)) is not None:
            return (place, *location)
    return None
