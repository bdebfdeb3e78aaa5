"""A loop that does not turn is noticed from another thread."""

import asyncio
import sys
import sysconfig
import threading
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Self

import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.clock import SystemClock
from schedora.application.pipeline import watchdog as module
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.watchdog import Blocked, Watchdog
from tests.builders import HOUR, NOON, a_claimed_job

MOMENT = timedelta(milliseconds=20)
TOLD = "a handler blocks the event loop: nothing else happens on it"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", MOMENT / 4)
    monkeypatch.setattr(module, "TELL_AFTER", MOMENT)
    monkeypatch.setattr(module, "GRACE", MOMENT)


def a_run(seconds: float) -> Run:
    job = a_claimed_job(timeout=timedelta(seconds=seconds))
    return Run(job, started_at=NOON, began=timedelta(0))


class Yard:
    """A watchdog on a thread of its own, and what it says of the loop of the test."""

    def __init__(self, runs: list[Run]) -> None:
        self.seen: list[Blocked] = []
        self.called = threading.Event()
        self._watchdog = Watchdog(clock=SystemClock(), runs=lambda: runs, on_blocked=self._on_blocked)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._watch)

    async def _on_blocked(self, blocked: Blocked) -> None:
        self.seen.append(blocked)
        self.called.set()

    def _watch(self) -> None:
        self._task = self._loop.create_task(self._watchdog.run())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()


async def as_handler(run: Run, act: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run.task = asyncio.create_task(act())
    await run.task


async def test_a_handler_that_keeps_the_loop_for_longer_than_it_may_is_found() -> None:
    run, other = a_run(0.05), a_run(3600)
    with capture_logs() as logs, Yard([other, run]) as yard:

        async def blocks() -> None:
            assert yard.called.wait(30)  # here
            time.sleep(MOMENT.total_seconds() * 3)  # where nobody can end it

        await as_handler(run, blocks)
    [blocked] = yard.seen
    assert blocked.run is run
    assert blocked.seconds >= 0.05
    assert "assert yard.called.wait(30)  # here" in blocked.stack
    assert blocked.where.startswith(f"{__file__}:")
    assert blocked.how.startswith("blocked its event loop for ")
    [told] = [entry for entry in logs if entry["event"] == TOLD]
    assert (told["job_id"], told["job_type"]) == (str(run.job.job_id), run.job.type)
    assert told["where"] == blocked.where
    assert "assert yard.called.wait(30)  # here" in told["stack"]


async def test_one_that_keeps_it_for_less_is_told_of_once_and_let_be() -> None:
    run, hasty = a_run(3600), a_run(0.001)
    with capture_logs() as logs, Yard([run, hasty]) as yard:

        async def blocks() -> None:
            deadline = time.monotonic() + 30
            while not any(entry["event"] == TOLD for entry in logs) and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(MOMENT.total_seconds() * 3)

        await as_handler(run, blocks)
        async with asyncio.timeout(30):
            while not any(entry["event"] == "the event loop turns again" for entry in logs):
                await asyncio.sleep(0.001)
    assert yard.seen == []
    assert len([entry for entry in logs if entry["event"] == TOLD]) == 1


async def test_where_nobody_knows_whose_it_is_the_longest_timeout_counts() -> None:
    with Yard([a_run(0.01), a_run(0.1)]) as yard:
        assert yard.called.wait(30)
    [blocked] = yard.seen
    assert blocked.run is None
    assert blocked.seconds >= 0.1


async def test_what_is_left_on_a_loop_without_jobs_has_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOBODYS_LIMIT", MOMENT)
    with Yard([]) as yard:
        assert yard.called.wait(30)
    assert len(yard.seen) == 1


async def test_a_time_in_which_it_did_not_run_itself_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([timedelta(0), timedelta(hours=1)])
    monkeypatch.setattr(SystemClock, "monotonic", lambda _: next(moments, timedelta(hours=1)))
    with capture_logs() as logs, Yard([a_run(0.001)]) as yard:
        time.sleep(MOMENT.total_seconds() * 5)
    assert yard.seen == []
    assert logs == []


async def test_it_ends_with_the_loop() -> None:
    async def made() -> Watchdog:
        return Watchdog(clock=SystemClock(), runs=list, on_blocked=lambda _: asyncio.sleep(0))

    other = asyncio.new_event_loop()
    watchdog = await asyncio.to_thread(other.run_until_complete, made())
    other.close()
    async with asyncio.timeout(30):
        await watchdog.run()


class Standstill:
    """A loop that does not turn by itself, whose thread has ended, and a watchdog at a clock that a test moves."""

    def __init__(self, clock: VirtualClock, runs: list[Run]) -> None:
        self.seen: list[Blocked] = []
        self.looks = 0
        self._clock = clock
        self._runs = runs
        self._loop = asyncio.new_event_loop()
        self._in_thread(self._make())

    async def _make(self) -> None:
        self.watchdog = Watchdog(
            clock=self._clock, runs=lambda: self._runs, on_blocked=self._on_blocked, on_look=self._on_look
        )

    async def _on_blocked(self, blocked: Blocked) -> None:
        self.seen.append(blocked)

    def _on_look(self) -> None:
        self.looks += 1

    def turn(self) -> None:
        self._in_thread(asyncio.sleep(0))

    def _in_thread(self, work: Coroutine[Any, Any, None]) -> None:
        thread = threading.Thread(target=self._loop.run_until_complete, args=(work,))
        thread.start()
        thread.join()

    async def look(self, times: int) -> None:
        for _ in range(times):
            assert self._clock.advance_to_next_wait()
            await self.settle()

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[list[dict[str, Any]]]:
        """What is logged meanwhile."""
        with capture_logs() as logs:
            task = asyncio.create_task(self.watchdog.run())
            await self.settle()
            try:
                yield logs  # type: ignore[misc] # mutable mappings, by their type
            finally:
                task.cancel()
                await asyncio.wait([task])
                self._loop.close()


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is told of by the second."""
    monkeypatch.setattr(module, "LOOK_EVERY", timedelta(seconds=0.34))
    monkeypatch.setattr(module, "TELL_AFTER", timedelta(seconds=3.4))
    monkeypatch.setattr(module, "GRACE", timedelta(seconds=1))


@pytest.mark.usefixtures("slow")
async def test_what_is_told_of_a_loop_whose_thread_is_not_known() -> None:
    still = Standstill(VirtualClock(), [])
    async with still.watched() as logs:
        await still.look(9)
        assert (logs, still.looks) == ([], 9)
        await still.look(1)
    told = {"seconds": 3.4, "where": "an unknown place", "stack": ""}
    assert logs == [{"event": TOLD, "log_level": "warning", **told}]


@pytest.mark.usefixtures("slow")
async def test_of_a_time_in_which_it_was_stopped_two_looks_count() -> None:
    clock = VirtualClock()
    still = Standstill(clock, [])
    async with still.watched() as logs:
        clock.advance(HOUR)
        await still.settle()
        assert still.looks == 1
        await still.look(7)
        assert logs == []
        await still.look(1)
        assert [entry["seconds"] for entry in logs] == [3.4]


@pytest.mark.usefixtures("slow")
async def test_it_may_be_kept_for_the_longest_timeout_and_a_while_and_that_is_told_once() -> None:
    still = Standstill(VirtualClock(), [a_run(2.4), a_run(6.14), a_run(1)])
    async with still.watched():
        await still.look(21)  # 7.14 seconds
        assert still.seen == []
        await still.look(10)
    assert still.seen == [Blocked(seconds=7.5, where="an unknown place", stack="", run=None)]
    assert still.seen[0].how == "blocked its event loop for 8 s at an unknown place"


@pytest.mark.usefixtures("slow")
async def test_once_it_turns_again_time_is_counted_anew() -> None:
    still = Standstill(VirtualClock(), [a_run(2.4)])
    async with still.watched() as logs:
        await still.look(11)
        assert len(still.seen) == 1
        still.turn()
        await still.look(1)
        await still.look(9)
        assert [entry["event"] for entry in logs] == [TOLD, "the event loop turns again"]
        assert logs[1] == {"event": logs[1]["event"], "log_level": "info", "seconds": 3.74}
        await still.look(2)
        assert [entry["event"] for entry in logs[2:]] == [TOLD]
        assert len(still.seen) == 2


def calling(file: str) -> Callable[..., Any]:
    """A function of this file, which calls the first of what it is given with the rest."""
    scope: dict[str, Any] = {}
    exec(compile("def call(inner, *rest):\n    return inner(*rest)\n", file, "exec"), scope)
    called: Callable[..., Any] = scope["call"]
    return called


HANDLER = "/app/handlers.py"
LIBRARY = f"{sysconfig.get_path('purelib')}/requests.py"
OWN = calling("/x/schedora/application/pipeline/execute.py")
IN_HANDLER, IN_LIBRARY, IN_NO_FILE = calling(HANDLER), calling(LIBRARY), calling("<frozen x>")


def test_the_way_is_told_from_where_the_handler_is_called() -> None:
    frame = OWN(IN_HANDLER, OWN, OWN, IN_HANDLER, IN_LIBRARY, sys._getframe)
    told = [f'  File "{file}", line 2, in call\n' for file in (HANDLER, LIBRARY)]
    assert module._stack(frame) == "".join(told)


@pytest.mark.parametrize("calls", [(IN_HANDLER, IN_LIBRARY), (IN_HANDLER, OWN)])
def test_all_of_the_way_is_told_where_no_handler_is_called(calls: tuple[Callable[..., Any], ...]) -> None:
    first, *rest = calls
    frame = first(*rest, sys._getframe)
    assert module._stack(frame) == "".join(traceback.format_list(traceback.extract_stack(frame)))


def test_the_place_is_the_innermost_of_the_user() -> None:
    frame = OWN(IN_HANDLER, calling("/app/mail.py"), IN_LIBRARY, OWN, IN_NO_FILE, sys._getframe)
    assert module._where(frame) == "/app/mail.py:2"
