"""How many fields a large body claims to have. For each that it does not know, a validator makes an error, of many times the size:
a body that has nothing but those is refused before it takes the memory of the machine.
"""

import json
from typing import Any

FIELDS_MAX = 300_000
"""Of all objects: twice what ten thousand jobs can have."""

OWN_FIELDS_MAX = 1_000
"""Of one."""


class TooManyFields(Exception):
    """In words: more than anything can have that is asked for."""


def check_fields(document: bytes) -> None:
    """Of the object and of those in its lists, whatever is inside of them. Raises ``TooManyFields``; ``ValueError`` for what is
    no JSON, and ``RecursionError``.
    """
    outermost: list[tuple[str, Any]] = []

    def count(members: list[tuple[str, Any]]) -> int:
        nonlocal outermost
        outermost = members  # objects are told of from the inside out
        return len(members)

    # Numbers are of no interest; as text they cost least.
    json.JSONDecoder(object_pairs_hook=count, parse_int=_nothing, parse_float=_nothing).decode(
        document.decode()
    )
    counts = [len(outermost)]
    for _, value in outermost:
        if isinstance(value, list):
            counts += (one for one in value if isinstance(one, int))
    if max(counts) > OWN_FIELDS_MAX:
        raise TooManyFields(f"has {max(counts)} fields in one object: at most {OWN_FIELDS_MAX} are looked at")
    if sum(counts) > FIELDS_MAX:
        raise TooManyFields(f"has {sum(counts)} fields: at most {FIELDS_MAX} are looked at")


def _nothing(_: str) -> None:
    """A number, which is none of ours."""
