"""The live view: what it shows, and what its keys do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from textual.pilot import Pilot

from schedora import AsyncSchedoraClient
from schedora.domain.worker import WorkerState
from schedora.entrypoints.api.examples import TRACE_ID
from schedora.entrypoints.cli.top.live import LiveView
from schedora.entrypoints.cli.top.screens import LAST_LOOKS
from tests.unit.entrypoints.cli.top.fake_api import PLACE, FakeApi, a_fake_api, failed, job
from tests.unit.entrypoints.cli.top.seen import queue, worker

INTERVAL_SECONDS = 0.05
PATIENCE_SECONDS = 30


class Seen:
    """What is on the screen, and a hand on the keys."""

    def __init__(self, api: FakeApi, pilot: Pilot[None]) -> None:
        self.api = api
        self.pilot = pilot

    @property
    def lines(self) -> list[str]:
        strips = self.pilot.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def line(self, part: str) -> str:
        return next((line for line in self.lines if part in line), "")

    async def until(self, holds: Callable[[], bool]) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not holds():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            raise AssertionError("\n".join(self.lines)) from None

    async def shows(self, *parts: str) -> None:
        await self.until(lambda: all(self.line(part) for part in parts))

    async def press(self, *keys: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.pilot.press(*keys)

    async def asks(self, asked: str) -> None:
        await self.until(lambda: asked in self.api.asked)


@asynccontextmanager
async def seen(
    width: int = 80, height: int = 24, interval_seconds: float = INTERVAL_SECONDS
) -> AsyncIterator[Seen]:
    async with a_fake_api() as (api, client):
        api.queues = {"default": queue(waiting=12, running=3, dead=2), "mail": queue(paused=True)}
        api.workers = [worker("w1", running_jobs=3, cpu_percent=12.4), worker("w2", status=WorkerState.STALE)]
        api.done, api.failed = {"mail": 100.0, "print": 5.0}, {"mail": 1.0}
        api.add(job(1), job(2, type="print"))
        app = LiveView(client, PLACE, interval_seconds)
        async with app.run_test(size=(width, height), notifications=True) as pilot:
            on_screen = Seen(api, pilot)
            await on_screen.shows("default")
            yield on_screen


async def test_it_fits_into_a_small_terminal() -> None:
    async with seen(80, 24) as screen:
        api = screen.api
        for _ in range(3):
            api.done["mail"] += 50
            api.failed["mail"] += 1
            await screen.pilot.pause(INTERVAL_SECONDS)
        await screen.shows("no such mailbox", "healthy", "w2")
        assert len(screen.lines) == 24
        assert max(map(len, screen.lines)) <= 80
        for heading in ("QUEUE", "WORKER", "~P95", "MESSAGE"):
            assert screen.line(heading), heading
        assert screen.line("default").split() == ["▸default", "12", "3", "0", "2", "-"]
        assert screen.line("w1").split()[:6] == ["w1", "ACTIVE", "3/10", "3", "12%", "-"]
        assert "submitted" in screen.lines[1]


async def test_it_uses_a_wide_one() -> None:
    async with seen(140, 40) as screen:
        await screen.shows("no such mailbox")
        heading = screen.line("QUEUE ")
        assert heading.index("QUEUE") < heading.index("WORKER")
        assert screen.line("KIND").index("KIND") > 70


async def test_a_tiny_terminal_breaks_nothing() -> None:
    async with seen(80, 24) as screen:
        await screen.pilot.resize_terminal(20, 6)
        await screen.pilot.pause(INTERVAL_SECONDS)
        await screen.pilot.resize_terminal(80, 24)
        await screen.shows("default")


async def test_the_server_goes_away_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedora.entrypoints.sdk.conversation.PAUSES_SECONDS", (0.0, 0.0))
    async with seen() as screen:
        screen.api.away = True
        await screen.shows("AWAY for")
        assert screen.line("default")
        screen.api.away = False
        await screen.until(lambda: not screen.line("AWAY for"))
        await screen.shows("healthy")


async def test_it_starts_before_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedora.entrypoints.sdk.conversation.PAUSES_SECONDS", (0.0, 0.0))
    async with a_fake_api() as (api, client):
        api.away = True
        app = LiveView(client, PLACE, INTERVAL_SECONDS)
        async with app.run_test() as pilot:
            screen = Seen(api, pilot)
            await screen.shows("AWAY for", "no queue", "no worker")
            api.away = False
            await screen.shows("healthy")


async def test_a_failure_opens_its_job() -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "enter")
        await screen.shows("DEAD: it failed", "OSError: no such mailbox")
        await screen.shows(
            "3 lines before these are kept no more", "mailbox is full  size=7", f"trace {TRACE_ID}"
        )
        await screen.press("end")
        await screen.shows("created -> PENDING", "print")
        await screen.press("escape")
        await screen.shows("QUEUE")


async def test_a_server_of_an_earlier_version_tells_less() -> None:
    async with seen() as screen:
        for path in ("why", "logs", "trace", "events"):
            screen.api.answers[f"/jobs/{UUID(int=2)}/{path}"] = (404, {"title": "Not Found"})
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "enter")
        await screen.shows("OSError: no such mailbox", f"job {UUID(int=2)}")


async def test_a_job_that_has_ended_is_read_until_its_last_lines_are_there() -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "enter")
        await screen.shows("mailbox is full")
        asked = f"GET /jobs/{UUID(int=2)}/logs"
        await screen.until(lambda: screen.api.asked.count(asked) == LAST_LOOKS)
        looks = screen.api.asked.count("GET /metrics")
        await screen.until(lambda: screen.api.asked.count("GET /metrics") > looks + LAST_LOOKS)
        assert screen.api.asked.count(asked) == LAST_LOOKS


async def test_a_queue_opens_its_jobs_and_these_open_theirs() -> None:
    async with seen() as screen:
        screen.api.add(job(3, queue="mail"))
        await screen.press("enter")
        await screen.shows("jobs on queue default", str(UUID(int=1)), str(UUID(int=2)))
        assert not screen.line(str(UUID(int=3)))
        await screen.press("down", "enter")
        await screen.asks(f"GET /jobs/{UUID(int=2)}/why")
        await screen.shows("DEAD: it failed")
        await screen.press("q", "q")
        await screen.shows("QUEUE  ")


@pytest.mark.parametrize(("tabs", "title"), [(1, "jobs on worker w1"), (2, "jobs of type mail")])
async def test_workers_and_types_open_theirs(tabs: int, title: str) -> None:
    async with seen() as screen:
        screen.api.failed["mail"] += 1
        await screen.press(*["tab"] * tabs, "w")
        await screen.shows("w1")
        await screen.until(lambda: bool(screen.line(" mail ")))
        await screen.press("enter")
        await screen.shows(title)


async def test_retry() -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "r")
        await screen.asks(f"POST /jobs/{UUID(int=2)}/retry")
        await screen.shows("PENDING again")


async def test_a_refusal_is_told() -> None:
    async with seen() as screen:
        refusal = {"title": "Conflict", "detail": "it is [red] already"}
        screen.api.answers[f"/jobs/{UUID(int=2)}/retry"] = (409, refusal)
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "r")
        await screen.shows("it is [red] already")


@pytest.mark.parametrize(("key", "done"), [("y", True), ("n", False), ("escape", False)])
async def test_cancel_asks(key: str, done: bool) -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        await screen.press("shift+tab", "c")
        await screen.shows("Cancel job")
        await screen.press(key)
        await screen.shows("QUEUE")
        asked = f"POST /jobs/{UUID(int=2)}/cancel"
        if done:
            await screen.asks(asked)
        else:
            await screen.pilot.pause(INTERVAL_SECONDS)
            assert asked not in screen.api.asked


@pytest.mark.parametrize("opened", ["list", "job"])
async def test_jobs_are_retried_and_canceled_where_they_are_opened(opened: str) -> None:
    async with seen() as screen:
        await screen.press("enter")
        await screen.shows(str(UUID(int=1)))
        if opened == "job":
            await screen.press("enter")
            await screen.shows("DEAD: it failed")
        await screen.press("r")
        await screen.asks(f"POST /jobs/{UUID(int=1)}/retry")
        await screen.press("c")
        await screen.shows("Cancel job")
        await screen.press("y")
        await screen.asks(f"POST /jobs/{UUID(int=1)}/cancel")


async def test_what_was_done_is_seen_at_once() -> None:
    async with seen(interval_seconds=3_600) as screen:
        screen.api.queues["default"] = queue(paused=True)
        await screen.press("p")
        await screen.until(lambda: "paused" in screen.line("▸default"))


async def test_pause_and_resume() -> None:
    async with seen() as screen:
        await screen.press("p")
        await screen.asks("POST /queues/default/pause")
        await screen.shows("queue default is paused")
        await screen.press("down", "p")
        await screen.asks("POST /queues/mail/resume")


async def test_keys_are_heard_while_the_server_takes_its_time() -> None:
    async with seen() as screen:
        with screen.api.holding("/queues/default/pause"):
            await screen.press("p")
            await screen.asks("POST /queues/default/pause")
            await screen.press("question_mark")
            await screen.shows("drain the worker under the cursor (asks)")
        await screen.press("escape")
        await screen.shows("queue default is paused")


@pytest.mark.parametrize(
    ("held", "keys"), [("/jobs", ["enter"]), (f"/jobs/{UUID(int=1)}/why", ["enter", "enter"])]
)
async def test_what_is_opened_is_left_while_the_server_takes_its_time(held: str, keys: list[str]) -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        for key in keys[:-1]:
            await screen.press(key)
            await screen.shows(str(UUID(int=1)))
        with screen.api.holding(held):
            asked = screen.api.asked.count(f"GET {held}")
            await screen.press(keys[-1])
            await screen.until(lambda: screen.api.asked.count(f"GET {held}") > asked)
            await screen.press(*["escape"] * len(keys))
            await screen.shows("QUEUE   ", "WORKER ")


async def test_drain_asks() -> None:
    async with seen() as screen:
        await screen.press("tab", "d")
        await screen.shows("Let worker w1 finish")
        await screen.press("y")
        await screen.asks("POST /workers/w1/drain")


async def test_keys_of_other_panels_do_nothing() -> None:
    async with seen() as screen:
        await screen.press("d", "r", "c", "s")
        await screen.pilot.pause(INTERVAL_SECONDS)
        assert [asked for asked in screen.api.asked if asked.startswith("POST")] == []


async def test_filter() -> None:
    async with seen() as screen:
        await screen.shows("no such mailbox")
        await screen.press("tab", "tab", "slash", *"MAIL", "enter", "s")
        await screen.shows("slowest first")  # the keys are those of the panel again that had them
        await screen.until(lambda: not screen.line("default  12"))
        await screen.shows("only what has “MAIL” in it", "paused")
        assert not screen.line("print")
        await screen.press("escape")
        await screen.shows("default", "print")


async def test_a_filter_is_given_up() -> None:
    async with seen() as screen:
        await screen.press("slash", "x", "escape")
        await screen.shows("default")
        assert not screen.line("only what has")


async def test_types_in_another_order_and_over_all_time() -> None:
    async with seen() as screen:
        await screen.press("tab", "tab", "s", "s", "w")
        await screen.shows("job types: busiest first, since counting began", "mail", "print")


async def test_one_panel_alone() -> None:
    async with seen() as screen:
        await screen.press("z")
        await screen.until(lambda: not screen.line("WORKER"))
        await screen.press("z")
        await screen.shows("WORKER")


async def test_help() -> None:
    async with seen() as screen:
        await screen.press("question_mark")
        await screen.shows("drain the worker under the cursor (asks)", "counted by the processes")
        await screen.press("escape")
        await screen.shows("QUEUE")


async def test_the_cursor_stays_with_its_row() -> None:
    async with seen() as screen:
        await screen.press("down")
        await screen.shows("▸mail")
        screen.api.queues = {"another": queue(), **screen.api.queues}
        await screen.shows("another")
        assert screen.line("▸mail")
        del screen.api.queues["mail"]
        await screen.shows("▸default")


async def test_a_long_list_scrolls() -> None:
    async with seen() as screen:
        screen.api.queues = {f"q{number:03}": queue() for number in range(100)}
        await screen.shows("q000")
        await screen.press("end")
        await screen.shows("▸q099")
        assert not screen.line("q000")
        await screen.press("pageup")
        assert not screen.line("▸q099")
        await screen.press("home", "up")
        await screen.shows("▸q000")


async def test_the_mouse_chooses() -> None:
    async with seen() as screen:
        await screen.pilot.click("#queues", offset=(5, 3))
        await screen.shows("▸mail")
        await screen.pilot.click("#queues", offset=(5, 3), times=2)
        await screen.shows("jobs on queue mail")


async def test_what_jobs_say_is_harmless() -> None:
    async with seen() as screen:
        screen.api.queues = {"[red]\x1b[2Jq": queue()}
        await screen.shows("[red]\\x1b[2Jq")
        await screen.press("enter")
        await screen.shows("jobs on queue [red]\\x1b[2Jq")
        await screen.press("escape")
        screen.api.add(job(4, type="[/]", errors=[{
            "attempt": 1, "at": "2030-01-31T08:00:04Z", "worker_id": "w1", "kind": "E\n", "message": "[b]\x1b]0;x",
            "traceback": "[/]\x1b[0m",
        }]))  # fmt: skip
        screen.api.moves.put_nowait(failed(4, type="[/]"))
        await screen.shows("[red]\\x1b[2Jq", "[b]\\x1b]0;x")
        await screen.press("shift+tab", "enter")
        await screen.shows("[/]\\x1b[0m")
        await screen.press("end")
        await screen.shows(f"job {UUID(int=4)}")


async def test_notes_are_shown() -> None:
    async with seen() as screen:
        screen.api.unhandled_types = ("fax",)
        await screen.shows("! no live worker handles: fax")


async def test_quit() -> None:
    async with seen() as screen:
        await screen.press("q")
        await screen.until(lambda: not screen.pilot.app.is_running)


async def test_a_real_server(server_url: str) -> None:
    async with AsyncSchedoraClient(server_url) as client:
        app = LiveView(client, server_url, 0.2)
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            screen = Seen(FakeApi(), pilot)
            await screen.shows("the-worker", "healthy")
            failing = await client.submit("fail", {"message": "top sees this"}, max_retries=0, queue="other")
            await screen.shows("top sees", "other", "DEAD")
            await screen.press("shift+tab", "enter")
            await screen.shows(f"job {failing.job_id}", "attempt 1 on the-worker")
            await screen.press("escape")
            await screen.shows("QUEUE")
            await screen.press("r")
            await screen.shows("PENDING again")
