"""Notices on their way out: their order, their bound, and where holes are."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from schedora.application import outgoing as outgoing_module
from schedora.application.errors import StoreUnavailable
from schedora.application.outgoing import BATCH_MAX, WAITING_MAX, Outgoing
from schedora.application.ports.metrics import Counter
from schedora.domain.events import Notice
from tests.contract.test_events import a_notice
from tests.programs import PATIENCE_SECONDS
from tests.unit.application.bench import RecordedMetrics


class Post:
    """Where they are sent to, when a test lets them through."""

    def __init__(self) -> None:
        self.sent: list[tuple[list[Notice], int]] = []
        self.error: Exception | None = None
        self.came = asyncio.Event()
        """Set once there is a batch to be sent."""
        self.passes = asyncio.Event()
        self.passes.set()
        self.metrics = RecordedMetrics()
        loop = asyncio.get_running_loop()
        self.outgoing = Outgoing(self._send, loop=lambda: loop, metrics=self.metrics)

    async def _send(self, notices: Sequence[Notice], lost: int) -> None:
        self.came.set()
        await self.passes.wait()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent.append((list(notices), lost))

    @property
    def dropped(self) -> int:
        return self.metrics.counted[Counter.EVENTS_DROPPED, ""]

    async def sends(self, count: int) -> None:
        """Until so many batches have been sent."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.sent) < count:
                await asyncio.sleep(0)


@pytest.fixture
async def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    monkeypatch.setattr(outgoing_module, "_PAUSE_SECONDS", 0.001)
    return Post()


def some(count: int, first: int = 0) -> list[Notice]:
    return [a_notice(number) for number in range(first, first + count)]


async def test_what_comes_while_a_batch_is_sent_goes_together(post: Post) -> None:
    notices = some(5)
    post.passes.clear()
    post.outgoing.put(notices[:1])
    await post.came.wait()
    for notice in notices[1:]:
        post.outgoing.put([notice])
    post.passes.set()
    await post.sends(2)
    assert post.sent == [(notices[:1], 0), (notices[1:], 0)]


async def test_batches_are_bounded_and_in_order(post: Post) -> None:
    notices = some(BATCH_MAX * 2 + 1)
    post.outgoing.put(notices)
    await post.sends(3)
    assert [len(batch) for batch, _ in post.sent] == [BATCH_MAX, BATCH_MAX, 1]
    assert [notice for batch, _ in post.sent for notice in batch] == notices


async def test_of_too_many_the_oldest_are_dropped_and_the_hole_is_where_they_were(post: Post) -> None:
    post.passes.clear()
    first = some(1)
    post.outgoing.put(first)
    await post.came.wait()
    notices = some(WAITING_MAX + 7)
    post.outgoing.put(notices[:WAITING_MAX])
    assert post.dropped == 0
    post.outgoing.put(notices[WAITING_MAX:])
    assert 0 < post.dropped <= 8
    post.passes.set()
    await post.sends(1 + WAITING_MAX // BATCH_MAX)
    assert post.sent[0] == (first, 0)
    assert post.sent[1][1] == post.dropped
    assert [lost for _, lost in post.sent[2:]] == [0] * (len(post.sent) - 2)
    assert [notice for batch, _ in post.sent[1:] for notice in batch] == notices[post.dropped :]


async def test_hole_that_is_passed_on_keeps_its_place(post: Post) -> None:
    post.passes.clear()
    post.outgoing.put(some(1))
    await post.came.wait()
    before, after = some(2), some(2)
    post.outgoing.put(before)
    post.outgoing.put(after, lost=3)
    post.outgoing.put([], lost=2)
    post.passes.set()
    await post.sends(4)
    assert post.sent[1:] == [(before, 0), (after, 3), ([], 2)]
    assert post.dropped == 0, "whoever lost them has counted them"


@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("a defect")])
async def test_batch_that_could_not_be_sent_is_a_hole(post: Post, error: Exception) -> None:
    post.error = error
    lost, later = some(3), some(2)
    post.outgoing.put(lost)
    await post.sends(1)
    post.outgoing.put(later)
    await post.sends(2)
    assert post.sent == [([], 3), (later, 0)]
    assert post.dropped == 3


async def test_end_sends_what_is_left(post: Post) -> None:
    notices = some(BATCH_MAX + 1)
    post.outgoing.put(notices)
    await post.outgoing.finish()
    assert [notice for batch, _ in post.sent for notice in batch] == notices
    await post.outgoing.finish()


async def test_end_does_not_wait_for_what_does_not_come(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing_module, "_LAST_SECONDS", 0.01)
    post.passes.clear()
    post.outgoing.put(some(1))
    await post.outgoing.finish()
    assert post.sent == []


async def test_end_does_not_try_for_long_what_fails(post: Post) -> None:
    post.error = StoreUnavailable("away")
    post.outgoing.put(some(1))
    await post.outgoing.finish()
    assert post.sent == []


async def test_from_other_threads_they_come_as_well(post: Post) -> None:
    notices = some(4)
    threads = [threading.Thread(target=post.outgoing.put, args=[[notice]]) for notice in notices]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await post.sends(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(len(batch) for batch, _ in post.sent) < len(notices):
            await asyncio.sleep(0)
    sent = [notice.event.attempt for batch, _ in post.sent for notice in batch]
    assert sorted(sent) == [notice.event.attempt for notice in notices]


def test_without_a_loop_nothing_is_sent_and_nothing_raised() -> None:
    def no_loop() -> asyncio.AbstractEventLoop:
        raise RuntimeError("not open")

    async def send(_notices: Sequence[Notice], _lost: int) -> None:
        raise AssertionError("there is nobody to send it")

    Outgoing(send, loop=no_loop, metrics=RecordedMetrics()).put(some(1))
