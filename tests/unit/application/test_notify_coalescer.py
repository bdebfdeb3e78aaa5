"""Hints on their way out of a process."""

import asyncio
from threading import Thread
from uuid import UUID

import pytest

from schedora.application.notify_coalescer import Notification, NotifyCoalescer
from schedora.domain.ids import IncarnationId
from tests.programs import PATIENCE_SECONDS

ONE = IncarnationId(UUID(int=1))


class Told:
    def __init__(self) -> None:
        self.notifies: list[Notification] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.came = asyncio.Event()

    async def __call__(self, notify: Notification) -> None:
        self.notifies.append(notify)
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


def notify(
    *queues: str, owners: tuple[IncarnationId, ...] = (), later: bool = False, more_work: bool = False
) -> Notification:
    return Notification(queues=frozenset(queues), owners=frozenset(owners), later=later, more_work=more_work)


async def test_the_first_goes_at_once_and_those_that_follow_go_as_one(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    notify_coalescer.put(queues=["a"])
    notify_coalescer.put(queues=["b"], more_work=True)
    notify_coalescer.put(owners=[ONE])
    await notify_coalescer.finish()
    assert told.notifies == [notify("a"), notify("b", owners=(ONE,), more_work=True)]


async def test_how_long_those_that_follow_are_gathered_can_be_said(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop, merge_seconds=0)
    for queue in "abc":
        notify_coalescer.put(queues=[queue])
    await notify_coalescer.finish()
    assert told.notifies == [notify("a"), notify("b"), notify("c")]
    patient = NotifyCoalescer(told, loop=asyncio.get_running_loop, merge_seconds=3_600)
    assert patient.pass_by()
    patient.put(queues=["d"])
    assert patient._send_at > asyncio.get_running_loop().time() + 3_000
    await patient.finish()
    assert told.notifies[3:] == [notify("d")]


async def test_what_waits_goes_by_itself_after_a_moment(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    notify_coalescer.put(queues=["a"])
    notify_coalescer.put(queues=["b"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(told.notifies) < 2:
            told.came.clear()
            await told.came.wait()
    assert told.notifies == [notify("a"), notify("b")]


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
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    notify_coalescer.put(queues=["first"])
    for put in puts:
        notify_coalescer.put(**put)  # type: ignore[arg-type]  # one of the parameters above each
    await notify_coalescer.finish()
    assert told.notifies[1].later is later


async def test_nothing_to_tell_is_not_told(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    notify_coalescer.put(more_work=True)
    await notify_coalescer.finish()
    assert told.notifies == []


async def test_it_may_be_put_from_any_thread(told: Told) -> None:
    loop = asyncio.get_running_loop()
    notify_coalescer = NotifyCoalescer(told, loop=lambda: loop)
    thread = Thread(target=lambda: notify_coalescer.put(queues=["a"]))
    thread.start()
    thread.join()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await told.came.wait()
    assert told.notifies == [notify("a")]


async def test_the_end_waits_for_what_is_being_sent(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    told.may_end.clear()
    notify_coalescer.put(queues=["a"])
    await told.came.wait()
    finishing = asyncio.create_task(notify_coalescer.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    told.may_end.set()
    await finishing


async def test_one_may_pass_by_only_where_none_waits_and_none_has_just_gone(told: Told) -> None:
    notify_coalescer = NotifyCoalescer(told, loop=asyncio.get_running_loop)
    assert notify_coalescer.pass_by()
    assert not notify_coalescer.pass_by()  # that one counts as sent
    notify_coalescer.put(queues=["a"])
    assert told.notifies == []
    await notify_coalescer.finish()
    assert not notify_coalescer.pass_by()


def no_loop() -> asyncio.AbstractEventLoop:
    raise RuntimeError("there is none")


def test_without_a_loop_it_is_lost(told: Told, closed_loop: asyncio.AbstractEventLoop) -> None:
    NotifyCoalescer(told, loop=no_loop).put(queues=["a"])
    NotifyCoalescer(told, loop=lambda: closed_loop).put(queues=["a"])
    assert told.notifies == []


async def test_what_was_lost_keeps_nothing_from_being_told_later(told: Told) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    notify_coalescer = NotifyCoalescer(told, loop=lambda: loops[0] if loops else no_loop())
    notify_coalescer.put(queues=["a"])
    loops.append(asyncio.get_running_loop())
    notify_coalescer.put(queues=["b"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await told.came.wait()
    assert told.notifies == [notify("b")]
