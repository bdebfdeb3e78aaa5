"""Run locks in a Redis that dies, freezes and comes back empty, and where others write, too."""

import asyncio

import pytest

from schedora.adapters.redis.run_locks import RedisRunLocks
from schedora.application.ports.run_locks import Contested
from tests.builders import SECOND, an_incarnation
from tests.contract.signs import TIMEOUT, a_lock, rival
from tests.programs import PATIENCE_SECONDS
from tests.redis.cluster import RedisCluster
from tests.redis.reaching import impatience, reaching, until_up
from tests.redis.servers import RedisServer


async def test_emptied_server_has_them_again_with_the_next_renewal(redis_server: RedisServer) -> None:
    locks = [a_lock() for _ in range(3)]
    owner = an_incarnation()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        await run_locks.take(owner, locks)
        redis_server.empty()
        assert await run_locks.renew(owner, locks) == [], "no conflict"
        for lock in locks:
            assert redis_server.ask("GET", link.keys.run(lock.job_id)) == str(lock.lease_id)


async def test_dead_server_hears_nothing_and_its_successor_does(redis_server: RedisServer) -> None:
    lock, owner = a_lock(), an_incarnation()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        await run_locks.take(owner, [lock])
        redis_server.kill()
        assert await run_locks.take(owner, [a_lock()]) is None
        assert await run_locks.renew(owner, [lock]) is None
        assert await run_locks.release([lock]) is None
        redis_server.start()
        await until_up(link)
        assert await run_locks.renew(owner, [lock]) == []
        assert redis_server.ask("GET", link.keys.run(lock.job_id)) == str(lock.lease_id)


async def test_server_that_freezes_amid_ten_thousand_is_not_waited_for(redis_server: RedisServer) -> None:
    locks, owner = [a_lock() for _ in range(10_000)], an_incarnation()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        assert await run_locks.take(owner, locks) == []
        redis_server.freeze()
        with impatience(link):
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await run_locks.renew(owner, locks) is None
        redis_server.thaw()
        await until_up(link)
        assert await run_locks.renew(owner, locks) == []


async def test_locks_of_a_worker_that_was_away_for_too_long_are_gone(redis_server: RedisServer) -> None:
    lock, owner = a_lock(), an_incarnation()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=SECOND / 50)
        await run_locks.take(owner, [lock])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while redis_server.ask("EXISTS", link.keys.run(lock.job_id)):
                await asyncio.sleep(0.005)
        later = rival(lock)
        patient = RedisRunLocks(link, lifetime=TIMEOUT)
        assert await patient.take(an_incarnation(), [later]) == []
        assert await patient.renew(owner, [lock]) == [Contested(lock, str(later.lease_id))]


@pytest.mark.parametrize("text", [b"", b"\xff\x00", b"not a lease"])
async def test_what_others_have_written_there_is_a_conflict_like_any(
    redis_server: RedisServer, text: bytes
) -> None:
    lock = a_lock()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        await link.call("SET", link.keys.run(lock.job_id), text, "PX", 60_000)
        holder = text.decode(errors="replace")
        assert await run_locks.renew(an_incarnation(), [lock]) == [Contested(lock, holder)]
        assert await run_locks.take(an_incarnation(), [lock]) == [Contested(lock, holder)]
        assert await run_locks.renew(an_incarnation(), [lock]) == []


async def test_keys_of_another_type_are_refused_and_harm_nobody(redis_server: RedisServer) -> None:
    lock, other = a_lock(), a_lock()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        await link.call("RPUSH", link.keys.run(lock.job_id), "x")
        await link.call("PEXPIRE", link.keys.run(lock.job_id), 60_000)
        assert await run_locks.renew(an_incarnation(), [lock]) is None
        assert link.up
        assert await run_locks.take(an_incarnation(), [other]) == []


async def test_every_key_expires(redis_server: RedisServer) -> None:
    lock, owner = a_lock(), an_incarnation()
    async with reaching(redis_server.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        await link.call("SET", link.keys.heartbeat(owner), "1")  # by somebody who forgot to say for how long
        await run_locks.take(owner, [lock])
        assert 0 < redis_server.ask("PTTL", link.keys.run(lock.job_id)) <= TIMEOUT / SECOND * 1000
        await run_locks.renew(owner, [lock])
        assert 0 < redis_server.ask("PTTL", link.keys.run(lock.job_id)) <= TIMEOUT / SECOND * 1000
        await link.call("DEL", link.keys.heartbeat(owner))


async def test_all_of_them_are_in_one_slot_of_a_cluster(cluster: RedisCluster) -> None:
    locks, owner = [a_lock() for _ in range(50)], an_incarnation()
    async with reaching(cluster.url) as link:
        run_locks = RedisRunLocks(link, lifetime=TIMEOUT)
        assert await run_locks.take(owner, locks) == []
        later = rival(locks[7])
        assert await run_locks.take(owner, [later]) == [Contested(later, str(locks[7].lease_id))]
        contested = [Contested(locks[7], str(later.lease_id))]
        assert await run_locks.renew(owner, locks) == contested
        assert await run_locks.release(locks) == contested
