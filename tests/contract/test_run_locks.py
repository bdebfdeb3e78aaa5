"""Locks of running jobs."""

from schedora.application.ports.run_locks import Contested
from tests.builders import an_incarnation
from tests.contract.signs import TIMEOUT, WHILE, Signs, a_lock, rival


async def test_nothing_to_do_is_done(signs: Signs) -> None:
    assert await signs.run_locks.take(an_incarnation(), []) == []
    assert await signs.run_locks.renew(an_incarnation(), []) == []
    assert await signs.run_locks.release([]) == []


async def test_taken_lock_names_its_lease(signs: Signs) -> None:
    lock, other = a_lock(), a_lock()
    assert await signs.run_locks.take(an_incarnation(), [lock]) == []
    assert await signs.holder(lock) == str(lock.lease_id)
    assert await signs.holder(other) is None
    assert await signs.run_locks.take(an_incarnation(), [lock]) == [], "taking it again is no conflict"


async def test_take_overwrites_and_tells_who_held_it(signs: Signs) -> None:
    free, held = a_lock(), a_lock()
    later = rival(held)
    await signs.run_locks.take(an_incarnation(), [held])
    assert await signs.run_locks.take(an_incarnation(), [free, later]) == [
        Contested(later, str(held.lease_id))
    ]
    assert await signs.holder(free) == str(free.lease_id)
    assert await signs.holder(held) == str(later.lease_id)


async def test_renewal_leaves_those_of_others_and_tells_who_holds_them(signs: Signs) -> None:
    ours, contested, forgotten = a_lock(), a_lock(), a_lock()
    owner = an_incarnation()
    await signs.run_locks.take(owner, [ours, contested])
    later = rival(contested)
    await signs.run_locks.take(an_incarnation(), [later])
    assert await signs.run_locks.renew(owner, [ours, contested, forgotten]) == [
        Contested(contested, str(later.lease_id))
    ]
    assert await signs.holder(ours) == str(ours.lease_id)
    assert await signs.holder(contested) == str(later.lease_id)
    assert await signs.holder(forgotten) == str(forgotten.lease_id), "set again"


async def test_release_removes_ours_alone_and_tells_who_holds_the_others(signs: Signs) -> None:
    ours, contested, unknown = a_lock(), a_lock(), a_lock()
    later = rival(contested)
    await signs.run_locks.take(an_incarnation(), [ours, later])
    assert await signs.run_locks.release([unknown, contested, ours]) == [
        Contested(contested, str(later.lease_id))
    ]
    assert await signs.holder(ours) is None
    assert await signs.holder(contested) == str(later.lease_id)


async def test_lock_lives_as_long_as_the_sign_of_life_of_its_owner(signs: Signs) -> None:
    lock, owner = a_lock(), an_incarnation()
    await signs.heartbeats.beat(owner)
    await signs.advance(TIMEOUT - 2 * WHILE)
    await signs.run_locks.take(owner, [lock])
    await signs.advance(WHILE)
    assert await signs.holder(lock) == str(lock.lease_id)
    await signs.advance(WHILE)
    assert await signs.holder(lock) is None, "so a dead worker's job runs elsewhere without a conflict"
    assert await signs.run_locks.take(an_incarnation(), [rival(lock)]) == []


async def test_renewal_makes_it_live_as_long_as_the_last_sign(signs: Signs) -> None:
    lock, owner = a_lock(), an_incarnation()
    for _ in range(5):
        await signs.heartbeats.beat(owner)
        await signs.run_locks.renew(owner, [lock])
        await signs.advance(TIMEOUT / 2)
    assert await signs.holder(lock) == str(lock.lease_id)
    await signs.advance(TIMEOUT / 2)
    assert await signs.holder(lock) is None


async def test_without_a_sign_of_its_owner_it_lives_for_the_timeout(signs: Signs) -> None:
    taken, renewed, owner = a_lock(), a_lock(), an_incarnation()
    await signs.run_locks.take(owner, [taken])
    await signs.run_locks.renew(owner, [renewed])
    await signs.advance(TIMEOUT - WHILE)
    for lock in (taken, renewed):
        assert await signs.holder(lock) == str(lock.lease_id)
    await signs.advance(WHILE)
    for lock in (taken, renewed):
        assert await signs.holder(lock) is None


async def test_lock_that_has_expired_is_contested_by_nobody(signs: Signs) -> None:
    lock = a_lock()
    await signs.run_locks.take(an_incarnation(), [lock])
    await signs.advance(TIMEOUT)
    later = rival(lock)
    assert await signs.run_locks.renew(an_incarnation(), [later]) == []
    assert await signs.holder(lock) == str(later.lease_id)


async def test_ten_thousand_are_taken_renewed_and_released(signs: Signs) -> None:
    locks, owner = [a_lock() for _ in range(10_000)], an_incarnation()
    assert await signs.run_locks.take(owner, locks) == []
    others = [rival(lock) for lock in locks[::1_001]]
    assert await signs.run_locks.take(an_incarnation(), others) == [
        Contested(other, str(lock.lease_id)) for other, lock in zip(others, locks[::1_001], strict=True)
    ]
    contested = [
        Contested(lock, str(other.lease_id)) for other, lock in zip(others, locks[::1_001], strict=True)
    ]
    assert await signs.run_locks.renew(owner, locks) == contested
    assert await signs.run_locks.release(locks) == contested
    assert await signs.holder(locks[9_999]) is None
