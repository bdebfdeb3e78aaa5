"""A server that answers and is not to be used: each refusal is known, said once, and over when the server says so."""

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from redis.exceptions import RedisError

from schedora.adapters.redis import link as link_module
from schedora.adapters.redis.connections import client_name
from schedora.adapters.redis.errors import CommandRefused, RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import Script, load
from tests.programs import PATIENCE_SECONDS, until
from tests.redis.reaching import reaching, refused, until_up
from tests.redis.servers import RedisServer


def read_only(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")


def writable(server: RedisServer) -> None:
    server.ask("REPLICAOF", "NO", "ONE")


def full(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "1")


def roomy(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "0")


def without_rights(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "-set")


def with_rights(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "+set")


def without_keys(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "resetkeys", "~others:*")


def with_keys(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "allkeys")


def without_scripts(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "-evalsha", "-eval")


def with_scripts(server: RedisServer) -> None:
    server.ask("ACL", "SETUSER", "default", "+evalsha", "+eval")


def unable_to_save(server: RedisServer) -> None:
    """A snapshot has failed, and it is one that then takes no writes."""
    (server.directory / "dump.rdb").mkdir()
    server.ask("CONFIG", "SET", "save", "3600 1")
    server.ask("BGSAVE")
    until(
        lambda: server.ask("INFO", "persistence")["rdb_last_bgsave_status"] == "err", "the snapshot to fail"
    )


def able_to_save(server: RedisServer) -> None:
    (server.directory / "dump.rdb").rmdir()
    server.ask("BGSAVE")
    until(
        lambda: server.ask("INFO", "persistence")["rdb_last_bgsave_status"] == "ok", "the snapshot to be made"
    )


REFUSALS: list[tuple[Callable[[RedisServer], None], Callable[[RedisServer], None], str]] = [
    (read_only, writable, "is a replica, which takes no writes"),
    (full, roomy, "is out of memory"),
    (without_rights, with_rights, "does not allow it to this user: "),
    (without_keys, with_keys, "does not allow it to this user: "),
    (without_scripts, with_scripts, "does not allow it to this user: "),
    (unable_to_save, able_to_save, "takes no writes since it can't save them"),
]


@pytest.mark.parametrize(
    ("refuse", "relent", "why"), REFUSALS, ids=[refuse.__name__ for refuse, _, _ in REFUSALS]
)
async def test_a_refusal_of_writes_is_known_by_the_probe_and_by_each_command(
    redis_server: RedisServer,
    refuse: Callable[[RedisServer], None],
    relent: Callable[[RedisServer], None],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with reaching(redis_server.tcp_url) as link:
        refuse(redis_server)
        with pytest.raises(RedisAway, match=why) as caught:
            await link.check()
        assert not isinstance(caught.value, CommandRefused)
        await said_by_probe(link, why)
        [line] = [record.getMessage() for record in caplog.records if record.name == "schedora.redis"]
        assert why in line
        relent(redis_server)
        await until_up(link)
        await link.check()


async def said_by_probe(link: RedisLink, why: str) -> None:
    """Until an attempt to come back ends so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with pytest.raises(RedisAway) as caught:
                await link.check()
            if re.search(why, str(caught.value)):
                return


async def test_plain_commands_are_refused_as_scripts_are(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link:
        for refuse, relent, why in (
            (read_only, writable, "is a replica, which takes no writes"),
            (full, roomy, "is out of memory"),
            (without_rights, with_rights, "does not allow it to this user: .*'?set'?"),
        ):
            refuse(redis_server)
            with pytest.raises(RedisAway, match=why):
                await link.call("SET", link.keys.probe(), "1", "PX", 1000)
            relent(redis_server)
            await until_up(link)


async def test_one_without_the_replicas_that_it_wants(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link:
        redis_server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
        with pytest.raises(RedisAway, match="takes no writes without replicas"):
            await link.call("SET", link.keys.probe(), "1", "PX", 1000)


async def test_a_wrong_password_is_said_and_not_told(guarded_server: RedisServer) -> None:
    for url in (
        f"redis://:guess@127.0.0.1:{guarded_server.port}",
        f"unix://{guarded_server.socket}?password=guess",
    ):
        async with refused(url) as link:
            with pytest.raises(RedisAway, match="refuses the user or the password") as caught:
                await link.call("PING")
            assert "guess" not in str(caught.value)


async def test_no_password_where_one_is_wanted(guarded_server: RedisServer) -> None:
    async with refused(f"redis://127.0.0.1:{guarded_server.port}") as link:
        with pytest.raises(RedisAway, match="wants a password"):
            await link.call("PING")


async def test_a_password_that_changes_and_changes_back(guarded_server: RedisServer) -> None:
    async with reaching(guarded_server.tcp_url) as link:
        await link.check()
        guarded_server.ask("CONFIG", "SET", "requirepass", "another")
        admin = f"redis://:another@127.0.0.1:{guarded_server.port}"
        async with reaching(admin) as operator:
            await operator.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            with pytest.raises(RedisAway):
                await asking_on(link)
            await said_by_probe(link, "refuses the user or the password")
            await operator.call("CONFIG", "SET", "requirepass", guarded_server.password or "")
        await until_up(link)


async def asking_on(link: RedisLink) -> None:
    while True:
        await link.call("PING")


def launched_to_load(server: RedisServer) -> None:
    """Restarts it so that it loads its data for half a minute, unless it is ended."""
    server.ask("CONFIG", "SET", "rdbcompression", "no")
    server.ask("EVAL", "for n = 1, 60 do redis.call('SET', n, string.rep('x', 1000000)) end", 0)
    server.ask("SAVE")
    server.kill()
    server.launch("key-load-delay 500000")  # microseconds a key; it answers every two megabytes


async def test_one_that_loads_its_data(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_BACKOFF_MAX", timedelta(seconds=0.1))
    async with reaching(redis_server.tcp_url) as link:
        launched_to_load(redis_server)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "is loading its data" not in await reason(link):
                pass
        redis_server.kill()
        redis_server.start()
        await until_up(link)
        assert redis_server.ask("DBSIZE") == 61


async def reason(link: RedisLink) -> str:
    """Why it is away, if it is."""
    try:
        await link.check()
    except RedisAway as away:
        return str(away)
    return ""


@contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    """It runs somebody's script until the end of the context."""

    def run_for_ever() -> None:
        with pytest.raises(RedisError, match="killed by user"):
            server.ask("EVAL", "while true do end", 0)

    server.ask("CONFIG", "SET", "lua-time-limit", "10")
    running = threading.Thread(target=run_for_ever)
    running.start()
    try:
        until(lambda: is_busy(server), "the script to be long")
        yield
    finally:
        server.ask("SCRIPT", "KILL")
        running.join()


def is_busy(server: RedisServer) -> bool:
    try:
        server.ask("PING")
    except RedisError as error:
        return "BUSY" in str(error)
    return False


async def test_one_that_is_busy_with_a_script(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link:
        with busy(redis_server), pytest.raises(RedisAway, match="is busy with somebody's script"):
            await link.check()
        await until_up(link)


async def test_a_server_that_forgets_its_scripts_is_told_them_again(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link:
        await link.check()
        redis_server.ask("SCRIPT", "FLUSH")
        await link.check()
        assert link.up
        assert redis_server.ask("SCRIPT", "EXISTS", load("probe").sha) == [1]


async def test_one_that_takes_no_more_clients(redis_server: RedisServer) -> None:
    redis_server.ask("CONFIG", "SET", "maxclients", "1")
    async with reaching(redis_server.tcp_url) as only, refused(redis_server.tcp_url) as other:
        with pytest.raises(RedisAway, match="max number of clients reached"):
            await other.call("PING")
        await only.close()
        await until_up(other)
        await other.call("CONFIG", "SET", "maxclients", "100")  # for those who come after it


async def test_a_replica_that_was_the_master_is_left_by_who_waits_there(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link, link.own_connection() as own:
        waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
        while redis_server.ask("INFO", "clients")["blocked_clients"] == 0:
            await asyncio.sleep(0.01)
        read_only(redis_server)
        with pytest.raises(RedisAway, match="has become a replica"):
            await waits


async def test_each_connection_says_whose_it_is(redis_server: RedisServer) -> None:
    async with reaching(redis_server.tcp_url) as link, link.own_connection() as own:
        names = [client_name()] * 2
        assert [await ask("CLIENT", "GETNAME") for ask in (link.call, own.call)] == [
            name.encode() for name in names
        ]


async def test_an_error_in_a_script_is_told_and_fails_alone(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = Script.of("wrong", "return redis.call('INCR', KEYS[1])")
    async with reaching(redis_server.tcp_url) as link:
        await link.call("RPUSH", "list", "1")
        with pytest.raises(CommandRefused, match="refuses a command"):
            await link.run(wrong, ["list"])
        with pytest.raises(CommandRefused, match="WRONGTYPE"):
            await link.call("GET", "list")
        assert link.up
    assert [record.levelname for record in caplog.records if record.name == "schedora.redis"] == ["ERROR"] * 2


async def test_a_database_that_there_is_not(redis_server: RedisServer) -> None:
    async with refused(f"{redis_server.tcp_url}/99") as link:
        with pytest.raises(RedisAway, match="DB index is out of range"):
            await link.call("PING")
