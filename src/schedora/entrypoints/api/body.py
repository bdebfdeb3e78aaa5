"""Request bodies: read within a bound, whatever the headers claim, and checked once."""

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Scope

from schedora.application.errors import TooLarge
from schedora.entrypoints.api.connections import Room
from schedora.entrypoints.api.encoded_size import least_bytes
from schedora.entrypoints.api.field_count import TooManyFields, check_fields
from schedora.entrypoints.api.problems import Problem, Refused, field_problem, invalid, shown, unavailable
from schedora.entrypoints.api.repeated_names import repeated_name

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
IDENTITY = "identity"

_CHARSET = re.compile(r"\bcharset\s*=\s*\"?([^\s;\"]*)")

SMALL_BYTES = 65_536
"""Room for everything beside a payload."""

ESCAPED_BYTES = 6
"""What JSON can spend on a character that is one byte when encoded as briefly as can be."""

FAR_MORE = 2

NO_ROOM_FOR_BODY = unavailable("There are as many large bodies as the server has memory for; try again soon.")
_TAKEN = "schedora.taken"


class _Taken(NamedTuple):
    room: Room
    size_bytes: int


ERRORS_TOLD_MAX = 50_000
"""Several for each row of the largest batch."""

LARGE_BYTES = 1024 * 1024
"""Smaller bodies can't have so many errors that telling them would hurt."""

BATCH_BYTES = 64 * 1024 * 1024


def single_limit_bytes(payload_max_bytes: int) -> int:
    """The longest body that can carry one payload within its limit, and all else."""
    return payload_max_bytes * ESCAPED_BYTES + SMALL_BYTES


def batch_limit_bytes(payload_max_bytes: int) -> int:
    return max(BATCH_BYTES, single_limit_bytes(payload_max_bytes))


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """All of it. Raises ``TooLarge`` as soon as it is known to be over the limit, and ``Refused`` for what is
    said to be no JSON.
    """
    headers = _headers_of(request)
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and len(declared) < 20 and int(declared) > limit_bytes:
        raise TooLarge("body", int(declared), limit_bytes)
    chunks: list[bytes] = []
    size_bytes = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            raise TooLarge("body", size_bytes, limit_bytes)
        if size_bytes > SMALL_BYTES:
            _take(request, size_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            break
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if body:
        _check_media_type(headers)
    return body


def give_back(scope: Scope) -> None:
    """What a request had taken of the room for large bodies. What is made of a body stays until it is answered."""
    taken: _Taken | None = scope.pop(_TAKEN, None)
    if taken is not None:
        taken.room.give_back(taken.size_bytes)


def _take(request: Request, size_bytes: int) -> None:
    """As much as makes ``size_bytes`` together. Raises ``Refused`` where there is not so much."""
    room: Room = request.app.state.room
    taken: _Taken | None = request.scope.get(_TAKEN)
    if not room.take(size_bytes - (taken.size_bytes if taken else 0)):
        raise Refused(NO_ROOM_FOR_BODY)
    request.scope[_TAKEN] = _Taken(room, size_bytes)


def parsed(model: type[M], body: bytes) -> M:
    """Raises ``Refused`` with every field that is wrong."""
    if len(body) > LARGE_BYTES:
        _check_fields(body)
    try:
        made = model.model_validate_json(body)
    except ValidationError as error:
        raise Refused(_problem_of(error)) from None
    # The parser keeps the last of two values in silence.
    if (location := repeated_name(body)) is not None:
        raise Refused(invalid([field_problem(field_path(location), "is given more than once")]))
    return made


def _check_fields(body: bytes) -> None:
    """Raises ``Refused`` for more than anything that we take can have."""
    try:
        check_fields(body)
    except TooManyFields as error:
        raise Refused(invalid([field_problem("body", str(error))])) from None
    except (ValueError, RecursionError):
        return  # the validator tells what is wrong, and where


def checked(model: type[M], value: object) -> M:
    """The same for a value that is no JSON text any more."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Refused(_problem_of(error)) from None


def check_size(body: bytes, payload_max_bytes: int) -> None:
    """Raises ``TooLarge`` for a body that, however it is written, has far more than a payload can have: to look at it all
    would take seconds. What has less is looked at, and refused by the name of what is too large.
    """
    if (size_bytes := least_bytes(body)) > FAR_MORE * payload_max_bytes + SMALL_BYTES:
        raise TooLarge("body", size_bytes, payload_max_bytes + SMALL_BYTES)


async def read_json(request: Request, model: type[M], limit_bytes: int) -> M:
    """The body as ``model``. Raises ``Refused`` and ``TooLarge``."""
    return parsed(model, await read_body(request, limit_bytes))


def field_path(location: tuple[int | str, ...]) -> str:
    """``("jobs", 3, "priority")`` as people write it: ``jobs[3].priority``."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{shown(part)}"
    return path.removeprefix(".") or "body"


def _headers_of(request: Request) -> Mapping[bytes, bytes]:
    """By name; of several, the first counts."""
    return dict(reversed([*request.scope["headers"]]))


def _check_media_type(headers: Mapping[bytes, bytes]) -> None:
    # Browsers send other sites' forms without asking, and bodies of no kind, but never JSON; and they tell the
    # site. A program that says nothing of its body means JSON.
    silent = "" if b"origin" in headers else JSON
    media_type, _, parameters = _told(headers, b"content-type", silent).partition(";")
    media_type = media_type.strip()
    if media_type != JSON and not (media_type.startswith("application/") and media_type.endswith("+json")):
        raise _wrong_kind(f"The body must be {JSON}, not {shown(media_type or 'of no kind')}.")
    charset = _CHARSET.search(parameters)
    if charset is not None and charset[1] not in UTF_8:
        raise _wrong_kind(f"The body must be in UTF-8, not in {shown(charset[1])}.")
    coding = _told(headers, b"content-encoding", IDENTITY).strip()
    if coding != IDENTITY:
        raise _wrong_kind(f"The body must be sent as it is, not as {shown(coding)}.")


def _told(headers: Mapping[bytes, bytes], name: bytes, silent: str) -> str:
    told = headers.get(name)
    return silent if told is None else told.decode("latin-1").lower()


def _wrong_kind(detail: str) -> Refused:
    return Refused(Problem(kind="unsupported-media-type", status=415, detail=detail))


def _problem_of(error: ValidationError) -> Problem:
    if (count := error.error_count()) > ERRORS_TOLD_MAX:
        return invalid([field_problem("body", f"breaks rules in {count} places, too many to tell each")])
    problems = error.errors(include_url=False, include_context=False)
    if problems[0]["type"] == "json_invalid":
        return Problem(
            kind="malformed-json",
            status=422,
            detail=problems[0]["msg"],
            errors=[field_problem("body", problems[0]["msg"])],
        )
    return invalid(
        [field_problem(field_path(p["loc"]), *in_words(p["type"], p["msg"], p["input"])) for p in problems]
    )


def in_words(kind: str, message: str, value: object) -> tuple[str, object]:
    """What a validator found, in our words, and the value if it is worth showing."""
    match kind:
        case "missing":
            return "is required", None
        case "extra_forbidden":
            return "is not a known field", value
        case "too_long":
            return message.replace("List should", "must").replace(" after validation", ""), None
        case "value_error":
            return message.removeprefix("Value error, "), value
        case _:
            return message, value
