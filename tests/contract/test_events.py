"""Events: order, places to go on from, and what is said of those that are gone."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from schedora.application.ports.events import Position, Reading
from schedora.domain.events import JobEvent, Notice
from schedora.domain.ids import WorkerId
from schedora.domain.job_state import JobState
from tests.builders import NOON, SECOND, a_job_id, a_workflow_id
from tests.contract.stores import Stores

AT_ONCE = timedelta(0)
PATIENCE = timedelta(seconds=10)
SPAN = timedelta(seconds=60)


def a_notice(number: int = 0) -> Notice:
    """``number`` tells it from others."""
    event = JobEvent(
        at=NOON + number * SECOND, from_state=None, to_state=JobState.PENDING, attempt=number, reason="Ω'"
    )
    return Notice(job_id=a_job_id(), type="work", queue="mail", workflow_id=None, event=event)


def notices_of(reading: Reading) -> list[Notice]:
    return [told.notice for told in reading.told]


@pytest.fixture
async def attended(stores: Stores) -> Stores:
    """There is a listener."""
    await stores.events.attend(SPAN)
    return stores


async def tell(stores: Stores, notices: Sequence[Notice]) -> Position:
    """Behind these notices, which have been told."""
    at = await stores.events.now()
    stores.events.publish(notices)
    left = len(notices)
    while left:
        reading = await stores.events.read(at, limit=left, patience=PATIENCE)
        assert reading.told
        at, left = reading.position, left - len(reading.told)
    return at


async def unwanted(stores: Stores) -> None:
    """Until it is known that nobody listens."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while stores.events.wanted:
            await asyncio.sleep(0.001)  # nothing else tells


async def test_what_happened_is_told_whole(attended: Stores) -> None:
    plain = a_notice()
    full = Notice(
        job_id=a_job_id(),
        type="send mail",
        queue='"Ω"',
        workflow_id=a_workflow_id(),
        event=JobEvent(
            at=NOON + timedelta(microseconds=1),
            from_state=JobState.RUNNING,
            to_state=JobState.FAILED,
            attempt=3,
            worker_id=WorkerId("w1"),
            reason="Oops",
        ),
    )
    start = await attended.events.now()
    await tell(attended, [plain, full])
    reading = await attended.events.read(start, limit=10, patience=AT_ONCE)
    assert notices_of(reading) == [plain, full]
    assert reading.complete


async def test_nobody_is_told_where_nobody_listens(stores: Stores) -> None:
    start = await stores.events.now()
    await unwanted(stores)
    stores.events.publish([a_notice()])
    await stores.events.attend(SPAN)
    assert stores.events.wanted
    told = a_notice(1)
    await tell(stores, [told])
    assert notices_of(await stores.events.read(start, limit=10, patience=AT_ONCE)) == [told]


async def test_reading_waits_for_what_is_told_next(attended: Stores) -> None:
    start = await attended.events.now()
    reading = asyncio.create_task(attended.events.read(start, limit=10, patience=PATIENCE))
    await asyncio.sleep(0.01)
    assert not reading.done()
    notice = a_notice()
    attended.events.publish([notice])
    assert notices_of(await reading) == [notice]


async def test_reading_without_patience_comes_back_empty(attended: Stores) -> None:
    start = await attended.events.now()
    reading = await attended.events.read(start, limit=10, patience=AT_ONCE)
    assert not reading.told
    assert reading.complete
    notice = a_notice()
    await tell(attended, [notice])
    assert notices_of(await attended.events.read(reading.position, limit=10, patience=AT_ONCE)) == [notice]


async def test_every_position_goes_on_behind_it(attended: Stores) -> None:
    start = await attended.events.now()
    notices = [a_notice(number) for number in range(7)]
    await tell(attended, notices[:4])
    await tell(attended, notices[4:])
    everything = await attended.events.read(start, limit=10, patience=AT_ONCE)
    assert notices_of(everything) == notices
    for count, told in enumerate(everything.told, start=1):
        rest = await attended.events.read(told.position, limit=10, patience=AT_ONCE)
        assert (notices_of(rest), rest.complete) == (notices[count:], True)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_at_most_so_many_are_read(attended: Stores, limit: int) -> None:
    at = await attended.events.now()
    notices = [a_notice(number) for number in range(7)]
    await tell(attended, notices[:3])
    await tell(attended, notices[3:])
    read: list[Notice] = []
    while len(read) < len(notices):
        reading = await attended.events.read(at, limit=limit, patience=AT_ONCE)
        assert 0 < len(reading.told) <= limit
        assert reading.complete
        assert reading.position == reading.told[-1].position
        read += notices_of(reading)
        at = reading.position
    assert read == notices


async def test_publisher_keeps_its_order(attended: Stores) -> None:
    at = await attended.events.now()
    notices = [a_notice(number) for number in range(2_000)]
    for start in range(0, len(notices), 10):
        attended.events.publish(notices[start : start + 10])
        if start % 100 == 0:
            await asyncio.sleep(0)
    read: list[Notice] = []
    while len(read) < len(notices):
        reading = await attended.events.read(at, limit=500, patience=PATIENCE)
        assert reading.told
        assert reading.complete
        read += notices_of(reading)
        at = reading.position
    assert read == notices


async def test_publishing_from_another_thread_arrives(attended: Stores) -> None:
    start = await attended.events.now()
    notice = a_notice()
    await asyncio.to_thread(attended.events.publish, [notice])
    assert notices_of(await attended.events.read(start, limit=10, patience=PATIENCE)) == [notice]


@pytest.mark.parametrize(
    "position", ["", "nonsense", "1", "7.0.0", "1." * 9, "9" * 5000, "999999999.0", "Ω|1.0"]
)
async def test_position_that_is_none_is_gone(attended: Stores, position: str) -> None:
    await tell(attended, [a_notice()])
    reading = await attended.events.read(Position(position), limit=10, patience=PATIENCE)
    assert not reading.complete
    assert not reading.told
    notice = a_notice(1)
    await tell(attended, [notice])
    rest = await attended.events.read(reading.position, limit=10, patience=AT_ONCE)
    assert (notices_of(rest), rest.complete) == ([notice], True)


async def test_position_before_what_was_pruned_is_gone(attended: Stores) -> None:
    start = await attended.events.now()
    notices = [a_notice(number) for number in range(3)]
    middle = await tell(attended, notices[:2])
    before_last = await attended.events.read(start, limit=1, patience=AT_ONCE)
    await attended.events.prune(AT_ONCE)
    await tell(attended, notices[2:])
    for position, complete in ((start, False), (before_last.position, False), (middle, True)):
        reading = await attended.events.read(position, limit=10, patience=AT_ONCE)
        assert (notices_of(reading), reading.complete) == (notices[2:], complete)


async def test_what_is_young_is_not_pruned(attended: Stores) -> None:
    start = await attended.events.now()
    notice = a_notice()
    await tell(attended, [notice])
    await attended.events.prune(SPAN)
    reading = await attended.events.read(start, limit=10, patience=AT_ONCE)
    assert (notices_of(reading), reading.complete) == ([notice], True)


async def test_pruning_what_nobody_missed_is_no_gap(attended: Stores) -> None:
    await tell(attended, [a_notice()])
    before = await attended.events.now()
    await attended.events.prune(AT_ONCE)
    after = await attended.events.now()
    for position in (before, after):
        reading = await attended.events.read(position, limit=10, patience=AT_ONCE)
        assert (reading.told, reading.position, reading.complete) == ((), position, True)
    notice = a_notice(1)
    await tell(attended, [notice])
    for position in (before, after):
        reading = await attended.events.read(position, limit=10, patience=AT_ONCE)
        assert (notices_of(reading), reading.complete) == ([notice], True)


async def test_reading_over_what_was_lost_is_not_complete(attended: Stores) -> None:
    start = await attended.events.now()
    notice = a_notice()
    behind = await tell(attended, [notice])
    attended.events.publish([], lost=3)
    hole = await attended.events.read(behind, limit=10, patience=PATIENCE)
    assert (hole.told, hole.complete) == ((), False)
    assert not (await attended.events.read(start, limit=10, patience=AT_ONCE)).complete
    assert (await attended.events.read(hole.position, limit=10, patience=AT_ONCE)).complete
