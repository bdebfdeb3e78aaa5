"""What an error says of the server."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from schedora.adapters.redis.errors import why_away


def parsed(reply: str) -> BaseException:
    """As redis-py makes it of what a server says."""
    error: BaseException = BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    return error


REPLIES = {
    "LOADING Redis is loading the dataset in memory": "is loading its data",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL": "is busy with somebody's script",
    "READONLY You can't write against a read only replica.": "is a replica, which takes no writes",
    "OOM command not allowed when used memory > 'maxmemory'.": "is out of memory",
    "MISCONF Redis is configured to save RDB snapshots": "takes no writes since it can't save them",
    "NOREPLICAS Not enough good replicas to write.": "takes no writes without replicas",
    "NOAUTH Authentication required.": "wants a password",
    "WRONGPASS invalid username-password pair": "refuses the user or the password",
    "NOPERM this user has no permissions to run the 'get' command": (
        "does not allow it to this user: this user has no permissions to run the 'get' command"
    ),
    "MASTERDOWN Link with MASTER is down": "is a replica without a master",
    "CLUSTERDOWN The cluster is down": "is down as a cluster",
    "MOVED 42 127.0.0.1:6379": "has moved its keys",
    "ASK 42 127.0.0.1:6379": "is moving its keys",
    "TRYAGAIN Multiple keys request during rehashing of slot": "is moving its keys",
    "UNBLOCKED force unblock from blocking operation, instance state changed": "has become a replica",
    "ERR max number of clients reached": "can't be reached: max number of clients reached",
    "ERR Error running script (call to f_90ac): @user_script:3: @user_script: 3: -OOM command not allowed": (
        "is out of memory"
    ),
    "ERR Error running script (call to f_90ac): @user_script:3: @user_script: 3: -READONLY You can't": (
        "is a replica, which takes no writes"
    ),
}
"""By Redis 6.2, in its words; those of a script in the end."""


@pytest.mark.parametrize(("reply", "why"), REPLIES.items(), ids=lambda text: text.split(maxsplit=1)[0])
def test_a_reply_that_says_that_the_server_is_not_to_be_used(reply: str, why: str) -> None:
    assert why_away(parsed(reply)) == why


@pytest.mark.parametrize(
    "reply",
    [
        (
            "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: The user executing the script"
            " can't run this command or subcommand"
        ),
        (
            "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: The user executing the script"
            " can't access at least one of the keys mentioned in the command arguments"
        ),
        "ERR ACL failure in script: User default has no permissions to run the 'set' command script: f_1",
    ],
)
def test_what_a_user_may_not_do_in_a_script(reply: str) -> None:
    why = why_away(parsed(reply))
    assert why is not None
    assert why.startswith("does not allow it to this user: ")


@pytest.mark.parametrize(
    "reply",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command 'NONSENSE', with args beginning with:",
        "ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation against a key",
        "CROSSSLOT Keys in request don't hash to the same slot",
    ],
)
def test_a_command_that_is_wrong_says_nothing_of_the_server(reply: str) -> None:
    assert why_away(parsed(reply)) is None


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TimeoutError(), "does not answer in time"),
        (RedisTimeoutError("Timeout connecting to server"), "does not answer in time"),
        (RedisConnectionError("Error 111 connecting\nto h:1. Refused."), "can't be reached: Error 111 connecting to h:1. Refused"),
        (ConnectionResetError(), "can't be reached: ConnectionResetError"),
        (InvalidResponse("Protocol Error: b'x'"), "is out of step: Protocol Error: b'x'"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_a_network_does(error: Exception, why: str) -> None:
    assert why_away(error) == why


def test_what_a_handshake_is_refused_for_is_inside_of_what_redis_py_makes_of_it() -> None:
    error = RedisConnectionError("wrapped")
    error.__cause__ = parsed("WRONGPASS invalid username-password pair")
    assert why_away(error) == "refuses the user or the password"
    error.__cause__ = ResponseError("DB index is out of range")
    assert why_away(error) is None


def test_what_is_no_error_of_redis_at_all() -> None:
    assert why_away(KeyError("a")) is None
