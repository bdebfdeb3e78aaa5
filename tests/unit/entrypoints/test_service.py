"""Services run together, stop in reverse order, and tell by the exit status how it went."""

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType

import pytest
from structlog.testing import capture_logs

from schedora.entrypoints.replacement import ReplaceProcess
from schedora.entrypoints.service import REPLACE, serve
from schedora.entrypoints.signals import stop_signals

Handler = Callable[[int, FrameType | None], None]


class Recorded:
    """Runs until stopped; notes what happens to it."""

    def __init__(
        self, name: str, notes: list[str], *, error: Exception | None = None, ends: bool = False
    ) -> None:
        self.name = name
        self._notes = notes
        self._error = error
        self._ends = ends
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        self._notes.append(f"{self.name} runs")
        if self._error is not None:
            raise self._error
        if not self._ends:
            await self._stopped.wait()
        self._notes.append(f"{self.name} has ended")

    def stop(self) -> None:
        self._notes.append(f"{self.name} is stopped")
        self._stopped.set()


async def signalled(number: signal.Signals, notes: list[str]) -> int:
    serving = asyncio.create_task(serve([Recorded("first", notes), Recorded("second", notes)]))
    while len(notes) < 2:
        await asyncio.sleep(0)
    os.kill(os.getpid(), number)
    return await serving


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_services_one_after_the_other_in_reverse(number: signal.Signals) -> None:
    notes: list[str] = []
    assert await signalled(number, notes) == 0
    assert notes[2:] == [
        "second is stopped", "second has ended", "first is stopped", "first has ended"
    ]  # fmt: skip


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, lambda number, frame: None])
async def test_signals_are_as_before_once_all_have_ended(handler: signal.Handlers | Handler) -> None:
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await signalled(signal.SIGTERM, [])
        assert [signal.getsignal(number) for number in before] == [handler, handler]
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


async def test_a_service_that_fails_stops_the_others_and_is_told_of() -> None:
    notes: list[str] = []
    with capture_logs() as logs:
        status = await serve([Recorded("fine", notes), Recorded("broken", notes, error=ValueError("oops"))])
    assert status == 1
    assert "fine has ended" in notes
    [failure] = [entry for entry in logs if entry["event"] == "service failed"]
    assert failure["service"] == "broken"
    assert isinstance(failure["exc_info"], ValueError)


async def test_a_service_that_ends_by_itself_ends_the_process_with_one() -> None:
    notes: list[str] = []
    assert await serve([Recorded("fine", notes), Recorded("done", notes, ends=True)]) == 1
    assert "fine has ended" in notes


async def test_signals_close_together_are_one_wish(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    heard: list[Callable[[], None]] = []
    told: list[str] = []
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as patch:
        patch.setattr("schedora.entrypoints.signals.os._exit", exits.append)
        patch.setattr(loop, "add_signal_handler", lambda _, handler: heard.append(handler))
        patch.setattr(loop, "time", lambda: now)
        with stop_signals(asked, at_once=lambda: told.append("at once")):
            heard[0]()
            assert asked.is_set()
            now += 0.05
            heard[1]()
            assert (told, exits) == ([], [])
            now += 0.1
            heard[0]()
    assert (told, exits) == (["at once"], [130])


async def test_one_that_ends_for_a_fresh_process_has_not_failed() -> None:
    notes: list[str] = []
    with capture_logs() as logs:
        status = await serve([Recorded("other", notes), Recorded("one", notes, error=ReplaceProcess())])
    assert status == REPLACE
    assert notes[-1] == "other has ended"
    assert logs == []


async def test_a_failure_beside_it_is_one() -> None:
    services = [Recorded("one", [], error=ReplaceProcess()), Recorded("other", [], error=ZeroDivisionError())]
    assert await serve(services) == 1
