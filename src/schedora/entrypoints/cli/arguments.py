"""What is typed, read into what is sent: JSON documents, instants, spans, ids."""

import json
import math
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from schedora.domain.errors import brief
from schedora.entrypoints.cli.exits import Misused


def read_text(source: str, what: str) -> str:
    """The file named ``source``, or standard input for ``-``. Raises ``Misused`` when it can't be read."""
    try:
        encoded = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Misused(f"{what} {source} is not UTF-8: {error.reason} at byte {error.start}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Misused(f"{what} {brief(source)} can't be read: {reason}") from None


def json_object(text: str, what: str) -> dict[str, Any]:
    """Raises ``Misused`` for anything but one JSON object."""
    try:
        document = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except ValueError as error:
        raise Misused(f"{what} is not JSON: {error}") from None
    except RecursionError:
        raise Misused(f"{what} is nested too deep") from None
    if not isinstance(document, dict):
        raise Misused(f"{what} must be a JSON object, not {brief(document)}")
    return document


def payload(given: str | None, arguments: Sequence[str]) -> dict[str, Any]:
    """``--payload`` (JSON, ``@file`` or ``-``) with every ``--arg name=value`` put into it.

    A value that is JSON is taken as that, ``3`` as a number, and everything else as a string.
    """
    document: dict[str, Any] = {}
    if given is not None:
        source = "-" if given == "-" else given.removeprefix("@")
        is_file = given == "-" or given.startswith("@")
        document = json_object(read_text(source, "the payload") if is_file else given, "the payload")
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise Misused(f"--arg must be name=value, not {brief(argument)}")
        document[name] = _value(value)
    return document


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{brief(digits)} is out of range")
    return number


def instant(text: str | None, option: str) -> datetime | None:
    """Raises ``Misused`` unless it is an RFC 3339 instant with its offset."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Misused(
            f"{option} must be an instant with an offset, like 2030-01-31T08:00:00Z, not {brief(text)}"
        )
    return moment


def given(**options: Any) -> Any:
    """What was said, without what was not."""
    return {name: value for name, value in options.items() if value not in (None, [])}


def named(name: str, what: str) -> str:
    """``name``, which stands in an address. Raises ``Misused`` for one that would lead to another address."""
    if name in {"", ".", ".."}:
        raise Misused(f"{brief(name)} can't be the name of {what}")
    return name
