"""What networks and processes do to the way to Redis: each is noticed, said once, and got over."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
import uvloop

from schedora.adapters.redis import link as link_module
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from tests.programs import PATIENCE_SECONDS
from tests.redis.proxy import Behaviour, FaultProxy
from tests.redis.reaching import IMPATIENCE, SILENT, a_link, impatience, noticing, reaching, until_up
from tests.redis.servers import RedisServer
from tests.redis.strangers import a_stranger


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    with FaultProxy(redis_server) as proxy:
        yield proxy


@pytest.fixture
async def link(proxy: FaultProxy) -> AsyncIterator[RedisLink]:
    async with reaching(proxy.url) as link:
        yield link


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "schedora.redis"]


async def until_away(link: RedisLink, why: str) -> None:
    """Asks until it is noticed."""

    async def asking() -> None:
        while True:
            await link.call("PING")

    with pytest.raises(RedisAway, match=why):
        await asking()


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (Behaviour.REFUSE, "can't be reached"),
        (Behaviour.RESET, "can't be reached"),
        (Behaviour.CUT, "can't be reached"),
        (Behaviour.BLACK_HOLE, SILENT),
        (Behaviour.STALL, SILENT),
    ],
    ids=lambda value: value.name if isinstance(value, Behaviour) else "",
)
async def test_each_is_noticed_said_once_and_got_over(
    proxy: FaultProxy, link: RedisLink, behaviour: Behaviour, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    changes: list[bool] = []
    link.on_change(changes.append)
    proxy.behave(behaviour)
    with noticing(link, why):
        await until_away(link, why)
        for _ in range(3):  # it stays so, whoever asks
            with pytest.raises(RedisAway, match=why):
                await link.check()
        assert not link.up
    [line] = lines(caplog)
    assert line.startswith("redis is away: going on without it, more slowly")
    proxy.behave(Behaviour.PASS)
    await until_up(link)
    assert await link.call("PING") == b"PONG"
    [_, line] = lines(caplog)
    assert line.startswith("redis is back")
    assert "away_seconds=" in line
    assert changes == [False, True]


async def test_all_that_is_under_way_fails_at_once_when_one_thing_fails(
    proxy: FaultProxy, link: RedisLink
) -> None:
    async with link.own_connection() as own:
        waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
        proxy.behave(Behaviour.BLACK_HOLE)
        with impatience(link):
            calls = [asyncio.create_task(link.call("PING")) for _ in range(20)]
            answers = await asyncio.gather(waits, *calls, return_exceptions=True)
    assert {type(answer) for answer in answers} == {RedisAway}


async def test_who_waits_for_a_connection_fails_with_who_has_it(proxy: FaultProxy) -> None:
    """And does not begin to connect where nobody answers."""
    patience = timedelta(seconds=10 * PATIENCE_SECONDS)
    url = f"{proxy.url}?max_connections=1"
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        RedisLink(url, command_timeout=patience, connect_timeout=patience) as link,
    ):
        await until_up(link)
        proxy.behave(Behaviour.BLACK_HOLE)
        both = [asyncio.create_task(link.call("PING")) for _ in range(2)]
        while len(link._under_way) < len(both):
            await asyncio.sleep(0.002)  # nothing else tells
        proxy.reset()
        for call in both:
            with pytest.raises(RedisAway, match="can't be reached"):
                await call


def test_a_loop_that_was_kept_finds_the_answer_that_lies_there(redis_server: RedisServer) -> None:
    """A handler kept it for longer than Redis may take."""

    async def asking() -> None:
        async with RedisLink(redis_server.url, command_timeout=timedelta(seconds=1)) as link:
            await until_up(link)
            call = asyncio.create_task(link.call("ECHO", "here"))
            while not link._under_way:
                await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is asked
            time.sleep(1.2)
            assert await call == b"here"

    asyncio.run(asking())
    uvloop.run(asking())


async def test_a_loop_that_was_kept_finds_no_answer_where_there_is_none(
    proxy: FaultProxy, link: RedisLink
) -> None:
    await until_up(link)
    proxy.behave(Behaviour.BLACK_HOLE)
    with impatience(link):
        call = asyncio.create_task(link.call("PING"))
        while not link._under_way:
            await asyncio.sleep(0)
        time.sleep(2 * IMPATIENCE.total_seconds())
        with pytest.raises(RedisAway, match=SILENT):
            await call


async def test_a_waiting_connection_that_hears_nothing_is_noticed(proxy: FaultProxy, link: RedisLink) -> None:
    """As when a firewall has forgotten it: nobody says that it is broken."""
    async with link.own_connection() as own:
        proxy.behave(Behaviour.BLACK_HOLE)
        own._command_timeout = IMPATIENCE
        with pytest.raises(RedisAway, match=SILENT):
            await own.call("BLPOP", "list", 0.05, patience=timedelta(seconds=0.05))


async def test_it_is_noticed_by_itself_where_nobody_asks_for_anything(
    proxy: FaultProxy, link: RedisLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_LOOK_SECONDS", 0.05)
    down = asyncio.Event()
    link.on_change(lambda up: None if up else down.set())
    proxy.behave(Behaviour.RESET)
    await until_away(link, "can't be reached")
    proxy.behave(Behaviour.PASS)
    await until_up(link)  # from here on it looks at shorter intervals
    down.clear()
    proxy.behave(Behaviour.BLACK_HOLE)
    with impatience(link):
        await down.wait()


async def test_a_connection_that_was_closed_while_idle_is_not_used(
    redis_server: RedisServer, link: RedisLink, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.gather(*(link.call("PING") for _ in range(8)))
    redis_server.ask("CLIENT", "KILL", "TYPE", "normal")
    await closed_by_the_server(link)
    await asyncio.gather(*(link.call("PING") for _ in range(8)))
    assert link.up
    assert lines(caplog) == []


async def closed_by_the_server(link: RedisLink) -> None:
    """Until what the server did to idle connections has come here."""
    idle = link._connections._idle
    while not all([await connection.can_read() for connection in idle]):
        await asyncio.sleep(0.001)


async def test_a_server_that_takes_no_connection_does_not_hold_up_an_opening_or_a_closing(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its backlog is full: what is sent to it is dropped, as in front of a host that is off."""
    monkeypatch.setattr(link_module, "_CHECK_SECONDS", 0.1)
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        link = RedisLink(f"redis://127.0.0.1:{listener.getsockname()[1]}?socket_connect_timeout=600")
        async with asyncio.timeout(30):  # far from the ten minutes that a connection may take
            await link.open()
            assert not link.up
            with pytest.raises(RedisAway, match="is not connected yet"):
                await link.check()
            await link.close()
    assert lines(caplog) == []


def test_what_was_reset_while_nobody_used_it_is_lost_on_the_loop_of_processes_too(proxy: FaultProxy) -> None:
    """That one says so in another way than the loop of tests does."""

    async def main() -> None:
        async with reaching(proxy.url) as link, link.own_connection() as own:
            assert await own.call("PING") == b"PONG"
            transport = own._connection._writer.transport  # type: ignore[union-attr]
            proxy.reset()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while "closed=True" not in repr(transport):
                    await asyncio.sleep(0.002)  # nothing else tells
            with pytest.raises(RedisAway, match="can't be reached"):
                await own.call("PING")
            await until_up(link)
            assert await link.call("PING") == b"PONG"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.mark.parametrize("greets", [False, True], ids=["at once", "once it has greeted"])
@pytest.mark.parametrize(
    "answer",
    [
        b":x\r\n",
        b"$-5\r\n",
        b"-MOVED away\r\n",
        b"*1\r\n" * 10_000,
        b"a" * 200_000,
        b"HTTP/1.1 400 Bad Request\r\n",
    ],
    ids=["no number", "no length", "no address", "no end", "no line", "HTTP"],
)
async def test_who_does_not_speak_as_redis_does_is_away(
    redis_server: RedisServer, answer: bytes, greets: bool
) -> None:
    """The address of one that has died may be given to anything."""
    async with reaching(redis_server.tcp_url) as link:
        redis_server.kill()
        async with (
            a_stranger(answer, port=redis_server.port, greets=greets),
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            why = ""
            while "is out of step" not in why:
                with pytest.raises(RedisAway) as away:
                    await link.check()
                why = str(away.value)
        redis_server.start()
        await until_up(link)


async def test_a_server_that_is_frozen_for_a_while(redis_server: RedisServer, link: RedisLink) -> None:
    redis_server.freeze()
    with impatience(link):
        await until_away(link, SILENT)
    redis_server.thaw()
    await until_up(link)


async def test_another_empty_server_in_its_place_knows_no_script_and_is_used_all_the_same(
    redis_server: RedisServer, link: RedisLink
) -> None:
    await link.check()
    redis_server.replace()
    await until_away(link, "can't be reached")
    await until_up(link)
    assert redis_server.ask("KEYS", "*") == [link.keys.probe()]


async def test_one_that_comes_and_goes_is_tried_ever_more_seldom(redis_server: RedisServer) -> None:
    """Where the probe comes through and what others ask fails, the pauses grow on."""
    redis_server.ask("ACL", "SETUSER", "default", "-ping")
    pauses: list[timedelta] = []
    async with a_link(redis_server.tcp_url, unit_random=lambda: 0.0) as link:
        following = link._backoff.next

        def noted() -> timedelta:
            pauses.append(following())
            return pauses[-1]

        link._backoff.next = noted  # type: ignore[method-assign]
        for _ in range(4):
            await until_up(link)
            with pytest.raises(RedisAway, match="does not allow it to this user"):
                await link.call("PING")
        await until_up(link)
    assert pauses == [timedelta(milliseconds=ms) for ms in (25, 50, 100, 200)]


async def test_whoever_is_canceled_breaks_nothing_for_others(link: RedisLink) -> None:
    async with link.own_connection() as own:
        waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
        calls = [asyncio.create_task(link.call("PING")) for _ in range(8)]
        await asyncio.sleep(0)
        for task in (waits, *calls[::2]):
            task.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [b"PONG"] * 4
    assert link.up
    assert await link.call("PING") == b"PONG"


async def test_nothing_is_left_open_whatever_goes_on_at_the_end(proxy: FaultProxy) -> None:
    before = asyncio.all_tasks()
    link = a_link(proxy.url)
    await link.open()
    await until_up(link)
    async with link.own_connection() as own:
        waits = asyncio.create_task(own.call("BLPOP", "list", 60, patience=timedelta(seconds=60)))
        await asyncio.gather(*(link.call("PING") for _ in range(4)))
        await link.close()
        with pytest.raises(RedisAway, match="the link is closed"):
            await waits
    with pytest.raises(RedisAway, match="the link is closed"):
        await link.call("PING")
    assert asyncio.all_tasks() == before
    while proxy.connections:  # the proxy hears of it a moment later
        await asyncio.sleep(0.001)


async def test_what_is_to_be_done_before_the_end_is_given_a_moment(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_CLOSE_SECONDS", 30)  # a machine that is busy with tests is slow
    told: list[object] = []
    async with reaching(redis_server.url) as link:

        async def last_word() -> None:
            told.append(await link.call("PING"))

        link.before_close(last_word)
    assert told == [b"PONG"]


async def test_what_is_to_be_done_before_the_end_is_given_no_more_than_a_moment(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_CLOSE_SECONDS", 0.01)
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with reaching(redis_server.url) as link:
        link.before_close(endless)
    assert ended.is_set()
    assert not link.up
