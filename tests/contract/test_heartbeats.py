"""Signs of life beside those in the store."""

from tests.builders import an_incarnation
from tests.contract.signs import TIMEOUT, WHILE, Signs


async def test_nobody_is_known_to_live_who_gave_no_sign(signs: Signs) -> None:
    assert await signs.heartbeats.alive([]) == frozenset()
    assert await signs.heartbeats.alive([an_incarnation() for _ in range(3)]) == frozenset()


async def test_who_gave_a_sign_lives_for_the_timeout(signs: Signs) -> None:
    one, other, stranger = (an_incarnation() for _ in range(3))
    assert await signs.heartbeats.beat(one)
    assert await signs.heartbeats.alive([stranger, one, other]) == {one}
    await signs.advance(TIMEOUT - WHILE)
    assert await signs.heartbeats.alive([one]) == {one}
    assert await signs.heartbeats.beat(other)
    await signs.advance(WHILE)
    assert await signs.heartbeats.alive([stranger, one, other]) == {other}


async def test_each_sign_counts_from_its_own_moment(signs: Signs) -> None:
    one = an_incarnation()
    for _ in range(5):
        assert await signs.heartbeats.beat(one)
        await signs.advance(TIMEOUT / 2)
    assert await signs.heartbeats.alive([one]) == {one}


async def test_who_is_forgotten_is_not_known(signs: Signs) -> None:
    one, other = an_incarnation(), an_incarnation()
    await signs.heartbeats.forget(one)
    await signs.heartbeats.beat(one)
    await signs.heartbeats.beat(other)
    await signs.heartbeats.forget(one)
    await signs.heartbeats.forget(one)
    assert await signs.heartbeats.alive([one, other]) == {other}


async def test_many_are_asked_for_at_once(signs: Signs) -> None:
    many = [an_incarnation() for _ in range(2_500)]
    for one in many[::100]:
        await signs.heartbeats.beat(one)
    assert await signs.heartbeats.alive(many) == set(many[::100])
