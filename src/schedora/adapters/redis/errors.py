"""What Redis answers, and fails to answer, sorted: either the server is away for now, or one command was wrong.

::

    RedisAway           nothing is to be had from Redis now: do what the port promises without it
    └── CommandRefused  from this command alone: others go on

Neither leaves these adapters, except as ``StoreUnavailable`` in the check of health.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - redis-py's, which is none of Python's
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

_BY_CODE = {
    "ASK": "is moving its keys",
    "BUSY": "is busy with somebody's script",
    "CLUSTERDOWN": "is down as a cluster",
    "LOADING": "is loading its data",
    "MASTERDOWN": "is a replica without a master",
    "MISCONF": "takes no writes since it can't save them",
    "MOVED": "has moved its keys",
    "NOAUTH": "wants a password",
    "NOPERM": "does not allow it to this user",
    "NOREPLICAS": "takes no writes without replicas",
    "OOM": "is out of memory",
    "READONLY": "is a replica, which takes no writes",
    "TRYAGAIN": "is moving its keys",
    "UNBLOCKED": "has become a replica",
    "WRONGPASS": "refuses the user or the password",
}
"""Error codes of a server that is not to be used for now, whatever the command. https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors"""

_IN_SCRIPT = re.compile(r"@user_script: ?\d+: -?([A-Z]+) ")
"""Redis 6 tells of a command that failed in a script by the text of a Lua error."""
_FORBIDDEN_IN_SCRIPT = (
    "can't run this command or subcommand",
    "can't access at least one of the keys",
    "ACL failure in script",
)
"""And of what this user may not do there, by words alone."""
_CLOSED_HANDLE = "the handler is closed"


class RedisAway(Exception):
    """The message says where, and why as far as known; never a password."""


class CommandRefused(RedisAway):
    """Redis is well and refuses this command: a key of another type, a mistake of ours. Told in the log as an error."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises what redis-py raises, or ``OSError``, in place of anything else that comes of talking to a server.

    On uvloop, to write to what the server has reset raises a ``RuntimeError``, and no ``OSError`` as on other loops. And
    who answers need not be a Redis: redis-py fails in many ways at what it can't read.
    """
    try:
        yield
    except (RedisError, OSError):
        raise
    except Exception as error:
        if isinstance(error, RuntimeError) and _CLOSED_HANDLE in str(error):
            raise ConnectionResetError("the connection was reset") from error
        raise InvalidResponse(f"what it answers is not as Redis answers: {_one_line(error)}") from error


def why_away(error: BaseException) -> str | None:
    """Why the server is away, as ``Redis at ... {why}``; None for an error that says nothing of it."""
    match error:
        case TimeoutError() | RedisTimeoutError():
            return "does not answer in time"
        case AuthenticationError():
            return _BY_CODE["NOAUTH" if error.status_code == "NOAUTH" else "WRONGPASS"]
        case NoPermissionError():
            return f"{_BY_CODE['NOPERM']}: {_one_line(error)}"
        case ResponseError():
            return _of_code(error)
        case ConnectionError(status_code=str(code)) if code in _BY_CODE:
            return _BY_CODE[code]
        case ConnectionError(__cause__=RedisError() as cause):  # so it comes from a socket's handshake
            return why_away(cause)
        case ConnectionError() | OSError():
            return f"can't be reached: {_one_line(error)}"
        case RedisError():
            return f"is out of step: {_one_line(error)}"
    return None


def _of_code(error: ResponseError) -> str | None:
    text = _one_line(error)
    if any(words in text for words in _FORBIDDEN_IN_SCRIPT):
        return f"{_BY_CODE['NOPERM']}: {text}"
    found = _IN_SCRIPT.search(text)
    return _BY_CODE.get(found[1] if found else error.status_code or text.partition(" ")[0])


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
