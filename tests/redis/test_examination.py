"""Looking into a real Redis: each fault that is put there is found, and nothing is where there is none."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.redis import link as link_module
from schedora.adapters.redis.examination import RedisExamination
from schedora.adapters.redis.link import RedisLink
from schedora.application.queries import doctor as doctor_module
from schedora.application.queries.doctor import Checked, Diagnosis, Examine
from schedora.diagnosis.doctor import redis as redis_checks
from tests.contract.memory import a_memory_store, memory_stores
from tests.programs import PATIENCE_SECONDS, until
from tests.redis.cluster import RedisCluster
from tests.redis.reaching import IMPATIENCE, PATIENCE, reaching
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the machine is slow says nothing of Redis."""
    monkeypatch.setattr(link_module, "_INSPECTION_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(redis_checks, "SLOW", timedelta(seconds=PATIENCE_SECONDS))
    monkeypatch.setattr(doctor_module, "CHECK_PATIENCE", timedelta(seconds=2 * PATIENCE_SECONDS))


async def examined(link: RedisLink) -> Diagnosis:
    examination = RedisExamination(link)
    store = memory_stores(a_memory_store()).examination
    return await Examine(store=store, redis=examination, clock=VirtualClock())()


async def examined_at(url: str) -> Diagnosis:
    """By a link that was never opened."""
    link = RedisLink(url, connect_timeout=PATIENCE)
    try:
        return await examined(link)
    finally:
        await link.close()


def codes(diagnosis: Diagnosis) -> list[str]:
    found = [finding.code for check, finding in diagnosis.findings if check.startswith("redis")]
    assert [check.name for check in diagnosis.checks if check.not_done is not None] == []
    return found


def checked(diagnosis: Diagnosis, name: str) -> Checked:
    [check] = [check for check in diagnosis.checks if check.name == name]
    return check


async def test_nothing_is_wrong_with_one_that_is_well(redis_server: RedisServer) -> None:
    diagnosis = await examined_at(redis_server.url)
    assert codes(diagnosis) == []
    assert [check.name for check in diagnosis.checks] == [
        "database",
        "processes",
        "work",
        "redis",
        "redis server",
    ]
    async with reaching(redis_server.url) as link:
        assert codes(await examined(link)) == []


async def test_nothing_is_wrong_with_a_cluster_that_is_well(cluster: RedisCluster) -> None:
    assert codes(await examined_at(cluster.url)) == []


async def test_of_those_that_sentinels_watch_the_master_is_examined(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        assert codes(await examined_at(watched.url)) == []


def no_server(diagnosis: Diagnosis, reason: str) -> None:
    """Holds where it is told as away, for this reason, and nothing more can be said."""
    [finding] = checked(diagnosis, "redis").findings
    assert finding.code == "redis_away"
    assert reason in finding.found
    assert reason in str(checked(diagnosis, "redis server").not_done)


async def test_one_that_is_away() -> None:
    no_server(await examined_at("redis://127.0.0.1:1"), "Redis at 127.0.0.1:1 can't be reached")


async def test_one_that_is_frozen(redis_server: RedisServer) -> None:
    redis_server.freeze()
    try:
        no_server(
            await examined(RedisLink(redis_server.url, connect_timeout=IMPATIENCE)), "does not answer in time"
        )
    finally:
        redis_server.thaw()


async def test_one_that_refuses_us(guarded_server: RedisServer) -> None:
    diagnosis = await examined_at(f"unix://{guarded_server.socket}?password=guess")
    no_server(diagnosis, "refuses the user or the password")
    assert not any("guess" in finding.found for _, finding in diagnosis.findings)


async def test_one_that_does_not_tell_of_itself(redis_server: RedisServer) -> None:
    redis_server.ask("ACL", "SETUSER", "visitor", "on", ">secret", "~*", "+@all", "-info")
    url = f"redis://visitor:secret@127.0.0.1:{redis_server.port}"
    async with reaching(url) as link:
        diagnosis = await examined(link)
        assert link.up, "what is refused there is no trouble to anybody else"
    assert checked(diagnosis, "redis").findings == ()
    assert "does not tell of itself (INFO)" in str(checked(diagnosis, "redis server").not_done)


async def test_one_that_takes_no_writes_of_ours(redis_server: RedisServer) -> None:
    redis_server.ask("ACL", "SETUSER", "visitor", "on", ">secret", "~others", "+@all")
    diagnosis = await examined_at(f"redis://visitor:secret@127.0.0.1:{redis_server.port}")
    [finding] = checked(diagnosis, "redis").findings
    assert finding.code == "redis_away"
    assert "does not allow it to this user" in finding.found


@pytest.fixture
def replica(redis_server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "replica") as replica:
        replica.follow(redis_server)
        yield replica


async def test_a_replica(replica: RedisServer) -> None:
    diagnosis = await examined_at(replica.url)
    assert sorted(codes(diagnosis)) == ["redis_away", "redis_replica"]
    assert "is a replica" in checked(diagnosis, "redis").findings[0].found


@pytest.mark.parametrize(
    ("policy", "code"),
    [("noeviction", "redis_full"), ("allkeys-lru", "redis_evicting"), ("volatile-ttl", "redis_evicting")],
)
async def test_one_that_is_nearly_full(redis_server: RedisServer, policy: str, code: str) -> None:
    redis_server.ask("SET", "others", "x" * 50_000_000, "PX", 600_000)
    redis_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    used = int(redis_server.ask("INFO", "memory")["used_memory"])
    for limit, found in ((2 * used, []), (int(1.05 * used), [code])):
        redis_server.ask("CONFIG", "SET", "maxmemory", limit)
        assert codes(await examined_at(redis_server.url)) == found


async def test_one_with_hardly_any_connections_left(redis_server: RedisServer) -> None:
    redis_server.ask("CONFIG", "SET", "maxclients", 20)
    with ExitStack() as others:
        for _ in range(18):
            others.enter_context(socket.create_connection(("127.0.0.1", redis_server.port)))
        until(lambda: clients(redis_server) > 18, "all of them to be let in")
        assert codes(await examined_at(redis_server.url)) == ["redis_clients"]


async def test_one_that_is_slow(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_checks, "SLOW", timedelta(0))
    assert codes(await examined_at(redis_server.url)) == ["redis_slow"]


async def test_an_examination_leaves_no_connection_open(redis_server: RedisServer) -> None:
    for _ in range(3):
        await examined_at(redis_server.url)
    await asyncio.to_thread(until, lambda: clients(redis_server) == 1, "nobody to be connected but who asks")


def clients(server: RedisServer) -> int:
    return int(server.ask("INFO", "clients")["connected_clients"])
