"""Hints on their way out of a process."""

import asyncio
from threading import Thread
from uuid import UUID

import pytest

from schedora.application.ringing import Ring, Ringing
from schedora.domain.ids import IncarnationId
from tests.programs import PATIENCE_SECONDS

ONE = IncarnationId(UUID(int=1))


class Told:
    def __init__(self) -> None:
        self.rings: list[Ring] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.came = asyncio.Event()

    async def __call__(self, ring: Ring) -> None:
        self.rings.append(ring)
        self.came.set()
        await self.may_end.wait()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def closed_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.close()
    return loop


def ring(
    *queues: str, owners: tuple[IncarnationId, ...] = (), later: bool = False, plenty: bool = False
) -> Ring:
    return Ring(queues=frozenset(queues), owners=frozenset(owners), later=later, plenty=plenty)


async def test_the_first_goes_at_once_and_those_that_follow_go_as_one(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    ringing.put(queues=["a"])
    ringing.put(queues=["b"], plenty=True)
    ringing.put(owners=[ONE])
    await ringing.finish()
    assert told.rings == [ring("a"), ring("b", owners=(ONE,), plenty=True)]


async def test_how_long_those_that_follow_are_gathered_can_be_said(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop, merge_seconds=0)
    for queue in "abc":
        ringing.put(queues=[queue])
    await ringing.finish()
    assert told.rings == [ring("a"), ring("b"), ring("c")]
    patient = Ringing(told, loop=asyncio.get_running_loop, merge_seconds=3_600)
    assert patient.pass_by()
    patient.put(queues=["d"])
    assert patient._send_at > asyncio.get_running_loop().time() + 3_000
    await patient.finish()
    assert told.rings[3:] == [ring("d")]


async def test_what_waits_goes_by_itself_after_a_moment(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    ringing.put(queues=["a"])
    ringing.put(queues=["b"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(told.rings) < 2:
            told.came.clear()
            await told.came.wait()
    assert told.rings == [ring("a"), ring("b")]


@pytest.mark.parametrize(
    ("puts", "later"),
    [
        ([{"queues": ["a"], "later": True}, {"queues": ["b"], "later": True}], True),
        ([{"queues": ["a"], "later": True}, {"queues": ["b"]}], False),
        ([{"queues": ["a"]}, {"queues": ["b"], "later": True}], False),
        ([{"queues": ["a"], "later": True}, {"owners": [ONE]}], True),
        ([{"owners": [ONE]}, {"queues": ["a"], "later": True}], True),
    ],
)
async def test_it_is_later_if_all_of_it_is(told: Told, puts: list[dict[str, object]], later: bool) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    ringing.put(queues=["first"])
    for put in puts:
        ringing.put(**put)  # type: ignore[arg-type]  # one of the parameters above each
    await ringing.finish()
    assert told.rings[1].later is later


async def test_nothing_to_tell_is_not_told(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    ringing.put(plenty=True)
    await ringing.finish()
    assert told.rings == []


async def test_it_may_be_put_from_any_thread(told: Told) -> None:
    loop = asyncio.get_running_loop()
    ringing = Ringing(told, loop=lambda: loop)
    thread = Thread(target=lambda: ringing.put(queues=["a"]))
    thread.start()
    thread.join()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await told.came.wait()
    assert told.rings == [ring("a")]


async def test_the_end_waits_for_what_is_being_sent(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    told.may_end.clear()
    ringing.put(queues=["a"])
    await told.came.wait()
    finishing = asyncio.create_task(ringing.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    told.may_end.set()
    await finishing


async def test_one_may_pass_by_only_where_none_waits_and_none_has_just_gone(told: Told) -> None:
    ringing = Ringing(told, loop=asyncio.get_running_loop)
    assert ringing.pass_by()
    assert not ringing.pass_by()  # that one counts as sent
    ringing.put(queues=["a"])
    assert told.rings == []
    await ringing.finish()
    assert not ringing.pass_by()


def no_loop() -> asyncio.AbstractEventLoop:
    raise RuntimeError("there is none")


def test_without_a_loop_it_is_lost(told: Told, closed_loop: asyncio.AbstractEventLoop) -> None:
    Ringing(told, loop=no_loop).put(queues=["a"])
    Ringing(told, loop=lambda: closed_loop).put(queues=["a"])
    assert told.rings == []


async def test_what_was_lost_keeps_nothing_from_being_told_later(told: Told) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    ringing = Ringing(told, loop=lambda: loops[0] if loops else no_loop())
    ringing.put(queues=["a"])
    loops.append(asyncio.get_running_loop())
    ringing.put(queues=["b"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await told.came.wait()
    assert told.rings == [ring("b")]
