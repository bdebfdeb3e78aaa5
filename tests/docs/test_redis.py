"""``docs/redis.md`` against the code and a real server."""

import inspect
import re
from pathlib import Path

import pytest

from schedora.adapters.redis import errors, keys, link, location
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.keys import Keys
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.location import Location
from tests.docs.pages import ROOT, blocks, table
from tests.redis.reaching import reaching
from tests.redis.servers import RedisServer

PAGE = ROOT / "docs" / "redis.md"
PACKAGE = ROOT / "src" / "schedora" / "adapters" / "redis"
TYPES = {"string", "list", "zset", "hash", "stream", "set"}

SENT_BY_THE_LINK = {"client|setname", "eval", "evalsha"}


def test_every_key_is_told_with_its_type_its_writer_and_its_lifetime() -> None:
    rows = table(PAGE, "key after the prefix")
    names = {"kinds", "available"}  # beside those of one queue
    for name, method in inspect.getmembers(Keys("p"), inspect.ismethod):
        if not name.startswith("_"):
            placeholders = [parameter.upper() for parameter in inspect.signature(method).parameters]
            names.add(method(*placeholders).removeprefix("{p}:"))
    told = {name for row in rows for name in row["key after the prefix"].split(", ")}
    assert told == names
    for row in rows:
        assert row["type"] in TYPES
        assert row["written by"]
        assert row["lives"]


def test_the_docstring_of_the_keys_tells_the_same() -> None:
    in_code = re.findall(
        r"^``(.+?)``(?: ``(.+?)``)?  +(\w+)  +(.+?)  +(\S.*)$", keys.__doc__ or "", re.MULTILINE
    )
    assert [(", ".join(filter(None, (first, second))), *rest) for first, second, *rest in in_code] == [
        tuple(row.values()) for row in table(PAGE, "key after the prefix")
    ]


def test_each_code_of_a_server_that_is_away_is_told() -> None:
    told = set(re.findall(r"`([A-Z]+)`", PAGE.read_text()))
    assert set(errors._BY_CODE) <= told


def test_each_form_of_url_is_one() -> None:
    for row in table(PAGE, "REDIS_URL"):
        Location.parse(row["REDIS_URL"])


def test_each_option_of_urls_is_told() -> None:
    told = {name for row in table(PAGE, "option") for name in row["option"].split(", ")}
    assert told == {
        *location._OF_ALL, *location._OF_ONE_DATABASE, *location._OF_SENTINEL, *location._OF_TLS,
    }  # fmt: skip


def test_the_defaults_of_the_timeouts_are_told() -> None:
    told = {row["option"]: row["what"] for row in table(PAGE, "option")}
    parameters = inspect.signature(RedisLink.__init__).parameters
    for option, parameter in (
        ("socket_timeout", "command_timeout"),
        ("socket_connect_timeout", "connect_timeout"),
    ):
        assert f" {parameters[parameter].default.total_seconds():g}" in told[option]
    assert f" {link._CONNECTIONS_MAX};" in told["max_connections"]


def granted() -> list[str]:
    """The words of the command that makes the user."""
    [block] = [block for block in blocks(PAGE) if block.kind == "text"]
    return block.text.split()


def test_the_user_may_do_what_is_done_and_nothing_else() -> None:
    in_scripts = {
        command
        for path in (PACKAGE / "lua").glob("*.lua")
        for command in re.findall(r"redis\.p?call\(\s*'([A-Z]+)'", path.read_text())
    }
    sent = {
        command
        for path in PACKAGE.glob("*.py")
        for command in re.findall(r"(?:\.call\(|\bask\(|command = \()\s*\"([A-Z]+)\"", path.read_text())
    }
    used = {command.lower() for command in in_scripts | sent} | SENT_BY_THE_LINK
    assert {word.removeprefix("+") for word in granted() if word.startswith("+")} == used


async def test_a_server_takes_that_user_and_lets_it_in(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        server.ask(*granted())
        async with reaching(f"redis://schedora:secret@127.0.0.1:{server.port}") as allowed:
            await allowed.check()
            with pytest.raises(RedisAway, match="does not allow it to this user"):
                await allowed.call("SET", "others", "1", "PX", 1000)
