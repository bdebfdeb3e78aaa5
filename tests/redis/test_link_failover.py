"""Where the writes go when the master is another: under Sentinels, in a Cluster."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from schedora.adapters.redis import link as link_module
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.keys import Keys
from schedora.adapters.redis.link import RedisLink
from schedora.adapters.redis.scripts import Script
from tests.redis.cluster import RedisCluster
from tests.redis.reaching import reaching, refused, until_up
from tests.redis.sentinels import Watched
from tests.redis.servers import RedisServer
from tests.redis.strangers import a_stranger

COUNT = Script.of("count", "redis.call('PEXPIRE', KEYS[1], 60000) return redis.call('INCR', KEYS[1])")


async def port_of(link: RedisLink) -> int:
    """Of the server that is asked now."""
    told = await link.call("INFO", "server")
    return int(told.split(b"tcp_port:")[1].split()[0])


async def asking_on(link: RedisLink) -> None:
    while True:
        await link.check()
        await asyncio.sleep(0.01)


async def test_the_sentinels_name_the_master_and_its_heir_once_it_is_dead(tmp_path: Path) -> None:
    with Watched(tmp_path, password="open-sesame") as watched:
        async with reaching(watched.url) as link:
            old = watched.master
            assert await port_of(link) == old.port
            async with link.own_connection() as own:
                waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
                old.kill()
                with pytest.raises(RedisAway, match="can't be reached"):
                    await waits
            await asyncio.to_thread(watched.await_another_than, old)
            await until_up(link)
            assert await port_of(link) == watched.master.port != old.port


async def test_a_master_that_was_replaced_and_does_not_know_it_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes writes for some ten seconds more, of which nobody will hear."""
    monkeypatch.setattr(link_module, "_LOOK_SECONDS", 0.05)
    with Watched(tmp_path) as watched:
        async with reaching(watched.url) as link:
            old = watched.master
            left = asyncio.Event()
            link.on_change(lambda up: None if up else left.set())
            async with link.own_connection() as own:
                waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
                await asyncio.to_thread(watched.fail_over)
                await left.wait()
                with pytest.raises(RedisAway):
                    await waits
            await until_up(link)
            assert await port_of(link) != old.port
    assert "is no longer the master" in caplog.text


async def test_sentinels_that_are_dead_are_passed_over(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        master = watched.master
        for sentinel in watched.sentinels[:2]:
            sentinel.kill()
        async with reaching(watched.url) as link:
            assert await port_of(link) == master.port


async def test_sentinels_that_are_silent_are_passed_over(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        for sentinel in watched.sentinels[:2]:
            sentinel.freeze()
        async with reaching(f"{watched.url}?socket_connect_timeout=0.2") as link:
            port = await port_of(link)
        for sentinel in watched.sentinels[:2]:
            sentinel.thaw()
        assert port == watched.master.port


@pytest.mark.parametrize(
    "answer", [b"-ERR unknown command 'SENTINEL'\r\n", b":x\r\n"], ids=["another Redis", "no Redis"]
)
async def test_who_is_no_sentinel_is_passed_over(tmp_path: Path, answer: bytes) -> None:
    with Watched(tmp_path) as watched:
        async with a_stranger(answer, greets=True) as port:
            url = watched.url.replace("//", f"//127.0.0.1:{port},")
            async with reaching(url) as link:
                assert await port_of(link) == watched.master.port


async def test_sentinels_that_know_no_such_service(tmp_path: Path) -> None:
    with Watched(tmp_path) as watched:
        url = watched.url.replace(watched.service, "another")
        async with refused(url) as link:
            with pytest.raises(RedisAway, match="no Sentinel that answers names a master of another"):
                await link.check()


async def test_a_cluster_is_used_at_the_node_that_has_our_keys(cluster: RedisCluster) -> None:
    async with reaching(cluster.url) as link:
        holder = cluster.holder(link.keys.probe())
        assert await port_of(link) == holder.port
        assert await link.run(COUNT, [link.keys.bucket("a")]) == 1


async def test_a_cluster_is_found_by_any_node_that_is_left(cluster: RedisCluster) -> None:
    holder = cluster.holder(Keys("schedora").probe())
    others = [node for node in cluster.nodes if node is not holder]
    others[0].kill()
    url = f"redis+cluster://127.0.0.1:{others[0].port},127.0.0.1:{others[1].port}"
    async with reaching(url) as link:
        assert await port_of(link) == holder.port


@pytest.mark.parametrize("answer", [b"+OK\r\n", b":x\r\n", b"*1\r\n*1\r\n:1\r\n"])
async def test_who_is_no_node_of_a_cluster_is_passed_over(cluster: RedisCluster, answer: bytes) -> None:
    async with (
        a_stranger(answer, greets=True) as port,
        reaching(cluster.url.replace("//", f"//127.0.0.1:{port},")) as link,
    ):
        assert await port_of(link) == cluster.holder(link.keys.probe()).port


async def test_a_cluster_that_does_not_serve_all_slots_is_away(cluster: RedisCluster) -> None:
    async with reaching(cluster.url) as link:
        with cluster.incomplete(link.keys.probe()), pytest.raises(RedisAway, match="is down as a cluster"):
            await asking_on(link)
        await until_up(link)


async def test_a_node_of_a_cluster_that_is_lost_and_comes_back(cluster: RedisCluster) -> None:
    async with reaching(cluster.url) as link:
        holder = cluster.holder(link.keys.probe())
        holder.kill()
        with pytest.raises(RedisAway, match=r"can't be reached|is down as a cluster"):
            await asking_on(link)
        holder.start()
        await until_up(link)
        assert await port_of(link) == holder.port


class Move:
    """Of the slot of our keys, from the node that has it to another."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self._cluster = cluster
        self.source = cluster.holder(key)
        self.target = next(node for node in cluster.nodes if node is not self.source)
        self._slot = self.source.ask("CLUSTER", "KEYSLOT", key)

    def begin(self) -> None:
        """What is not at the source any more, and what is new, is at the target: the source says ASK."""
        self._set(self.target, "IMPORTING", self.source.ask("CLUSTER", "MYID"))
        self._set(self.source, "MIGRATING", self.target.ask("CLUSTER", "MYID"))

    def end(self) -> None:
        """The source says MOVED."""
        keys = self.source.ask("CLUSTER", "GETKEYSINSLOT", self._slot, 100)
        self.source.ask("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
        owner = self.target.ask("CLUSTER", "MYID")
        for node in (self.target, *self._cluster.nodes):
            self._set(node, "NODE", owner)

    def _set(self, node: RedisServer, state: str, other: str) -> None:
        node.ask("CLUSTER", "SETSLOT", self._slot, state, other)


async def test_keys_that_move_within_a_cluster_are_followed(
    cluster: RedisCluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with reaching(cluster.url) as link:
        move = Move(cluster, link.keys.probe())
        old, new = link.keys.bucket("old"), link.keys.bucket("new")
        await link.run(COUNT, [old])
        move.begin()
        assert await link.run(COUNT, [old]) == 2
        assert await link.run(COUNT, [new]) == 1
        assert move.target.ask("CLUSTER", "COUNTKEYSINSLOT", move._slot) == 1
        move.end()
        assert await link.run(COUNT, [old]) == 3
        assert await link.run(COUNT, [new]) == 2
        assert await port_of(link) == move.target.port
        assert link.up
    assert "redis is away" not in caplog.text


async def test_an_inspection_asks_who_has_the_keys_now_whoever_had_them_before(cluster: RedisCluster) -> None:
    async with reaching(cluster.url) as link:
        move = Move(cluster, link.keys.probe())
        move.begin()
        await link.check()  # so that there is a key to be moved
        move.end()
        async with link.inspection() as ask:
            told = await ask("INFO", "server")
        assert int(told.split(b"tcp_port:")[1].split()[0]) == move.target.port


async def test_who_waits_at_a_node_that_gives_its_keys_away_is_told(cluster: RedisCluster) -> None:
    async with reaching(cluster.url) as link:
        move = Move(cluster, link.keys.probe())
        async with link.own_connection() as own:
            waits = asyncio.create_task(
                own.call("BLPOP", link.keys.tokens("k"), 60, patience=timedelta(seconds=60))
            )
            while move.source.ask("INFO", "clients")["blocked_clients"] == 0:
                await asyncio.sleep(0.01)
            move.begin()
            move.end()
            with pytest.raises(RedisAway, match="has moved its keys"):
                await waits
        await until_up(link)
        assert await port_of(link) == move.target.port


async def test_a_node_of_a_cluster_that_was_named_as_a_single_server(cluster: RedisCluster) -> None:
    """Its URL should say that it is one; it is led to the node that has our keys all the same."""
    holder = cluster.holder(Keys("schedora").probe())
    other = next(node for node in cluster.nodes if node is not holder)
    async with reaching(other.tcp_url) as link:
        assert await port_of(link) == holder.port


@pytest.mark.parametrize("host", ["", "?"])
async def test_a_node_that_names_another_by_its_port_alone_is_followed(
    redis_server: RedisServer, host: str
) -> None:
    """As one does with `cluster-preferred-endpoint-type unknown-endpoint`, behind an address that is not its own."""
    moved = f"-MOVED 1 {host}:{redis_server.port}\r\n".encode()
    async with a_stranger(moved, greets=True) as port, reaching(f"redis://127.0.0.1:{port}") as link:
        assert await port_of(link) == redis_server.port
