"""Events over PostgreSQL: commit order, what publishers know of the listener and when, and what it costs to be silent."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.events import PUBLISHING, PostgresEvents
from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, load
from schedora.adapters.system.clock import SystemClock
from schedora.application import outgoing as outgoing_module
from schedora.application.notices import encode_notices
from schedora.application.ports.clock import Clock
from schedora.application.ports.events import LOOK_INTERVAL, Position
from schedora.application.ports.metrics import Counter
from schedora.domain.events import Notice
from tests.builders import HOUR, SECOND
from tests.contract.test_events import a_notice, notices_of
from tests.programs import PATIENCE_SECONDS, unconfigured_environment
from tests.unit.application.bench import RecordedMetrics

AT_ONCE = timedelta(0)
SHORT_INTERVAL = timedelta(milliseconds=20)
"""In place of ``LOOK_INTERVAL`` where real time has to pass."""
PATIENCE = timedelta(seconds=PATIENCE_SECONDS)

PUBLISH_FOREVER = """
import asyncio, sys
from datetime import timedelta
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.events import PostgresEvents
from schedora.adapters.system.clock import SystemClock
from schedora.adapters.telemetry.local_counters import LocalCounters
from tests.contract.test_events import a_notice

async def main(url, count):
    async with Database(url, pool_size=4, max_overflow=0) as database:
        publishers = [PostgresEvents(database, LocalCounters(), SystemClock()) for _ in range(2)]
        for number in range(count):
            publishers[number % 2].publish([a_notice(number)])
            if number % 20 == 0:
                await asyncio.sleep(0.002)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


class CountingDatabase(Database):
    """Counts the statements that go through it, by how they begin."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.asked: list[str] = []

    async def fetch(self, statement: Statement, /, **values: Any) -> Any:
        self.asked.append(statement.text)
        return await super().fetch(statement, **values)

    def count(self, part: str) -> int:
        return sum(part in text for text in self.asked)


Open = Callable[..., Any]


@pytest.fixture
async def process(migrated_url: str) -> AsyncIterator[Open]:
    """Makes what one process has: a database, and events over it."""
    async with AsyncExitStack() as stack:

        async def made(clock: Clock | None = None, **options: Any) -> tuple[CountingDatabase, PostgresEvents]:
            database = await stack.enter_async_context(CountingDatabase(migrated_url, **options))
            metrics = RecordedMetrics()
            interval = LOOK_INTERVAL if clock else SHORT_INTERVAL
            events = PostgresEvents(database, metrics, clock or SystemClock(), look_interval=interval)
            return database, events

        yield made


async def attend(events: PostgresEvents, span: timedelta = HOUR) -> None:
    """Without waiting until others know."""
    await asyncio.wait([asyncio.create_task(events.attend(span))], timeout=0.05)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not events.wanted:
            await asyncio.sleep(0.001)


async def silent(events: PostgresEvents) -> None:
    """Once it is known that nobody is there, and no notice is on its way any more that would be told if the time that
    this is known for were over.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while events.wanted:
            await asyncio.sleep(0.001)
        if (sending := events._outgoing._sending) is not None:
            await asyncio.wait([sending])


async def read(events: PostgresEvents, after: Position, count: int) -> list[Notice]:
    found: list[Notice] = []
    while len(found) < count:
        reading = await events.read(after, limit=100, patience=PATIENCE)
        assert reading.told, "nothing came"
        assert reading.complete
        found += notices_of(reading)
        after = reading.position
    return found


def publishing(notices: list[Notice]) -> tuple[str, tuple[Any, ...]]:
    statement = load("publish")
    return statement.text, statement.arguments(
        key=PUBLISHING, amount=len(notices), lost=0, notices=encode_notices(notices)
    )


async def test_what_is_appended_later_is_never_seen_before_what_was_appended_earlier(process: Open) -> None:
    """The point of the lock: without it the later one, committed first, would move readers past the earlier one."""
    database, events = await process()
    await events.attend(HOUR)
    start = await events.now()
    earlier, later = a_notice(1), a_notice(2)
    text, values = publishing([earlier])
    connection = await database.connect()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(text, *values)
    events.publish([later])
    await asyncio.sleep(0.1)
    assert (await events.read(start, limit=10, patience=AT_ONCE)).told == ()
    await transaction.commit()
    await connection.close()
    assert await read(events, start, 2) == [earlier, later]


async def test_append_that_was_rolled_back_is_no_gap(process: Open) -> None:
    database, events = await process()
    await events.attend(HOUR)
    start = await events.now()
    text, values = publishing([a_notice(1)])
    connection = await database.connect()
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(text, *values)
    await transaction.rollback()
    await connection.close()
    notice = a_notice(2)
    events.publish([notice])
    assert await read(events, start, 1) == [notice]


async def test_publishers_in_two_processes_lose_nothing_between_two_positions(
    process: Open, migrated_url: str
) -> None:
    _, events = await process()
    await events.attend(HOUR)
    at = await events.now()
    count = 1_500
    programs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", PUBLISH_FOREVER, migrated_url, str(count), env=unconfigured_environment()
        )
        for _ in range(2)
    ]
    found: list[Notice] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found) < 2 * count:
            reading = await events.read(at, limit=50, patience=PATIENCE)
            assert reading.complete
            found += notices_of(reading)
            at = reading.position
    assert [await program.wait() for program in programs] == [0, 0]
    assert sorted(notice.event.attempt for notice in found) == sorted([*range(count)] * 2)
    assert (await events.read(at, limit=10, patience=AT_ONCE)).told == ()


async def test_new_listener_is_waited_for_until_every_publisher_has_seen_it(process: Open) -> None:
    """A publisher that has looked just before may keep silent for so long, and no longer."""
    clock = VirtualClock()
    _, publisher = await process(clock)
    _, reader = await process(clock)
    await silent(publisher)
    attending = asyncio.create_task(reader.attend(60 * SECOND))
    while not clock.sleepers:
        await asyncio.sleep(0.001)
    assert clock.next_wait == clock.now() + LOOK_INTERVAL
    assert not publisher.wanted
    clock.advance(LOOK_INTERVAL - timedelta(microseconds=1))
    await asyncio.sleep(0.01)
    assert not attending.done()
    clock.advance(timedelta(microseconds=1))
    await attending
    start = await reader.now()
    assert publisher.wanted, "not knowing is no reason to keep silent"
    notice = a_notice()
    publisher.publish([notice])
    while not (reading := await reader.read(start, limit=1, patience=AT_ONCE)).told:
        await asyncio.sleep(0.001)
    assert notices_of(reading) == [notice]


async def test_listener_that_is_known_is_renewed_at_once(process: Open) -> None:
    clock = VirtualClock()
    _, events = await process(clock)
    first, second = (asyncio.create_task(events.attend(60 * SECOND)) for _ in range(2))
    while clock.sleepers < 2:
        await asyncio.sleep(0.001)
    assert not second.done(), "it is not known yet for the second, either"
    clock.advance(LOOK_INTERVAL)
    await asyncio.gather(first, second)
    clock.advance(58 * SECOND)
    await events.attend(60 * SECOND)
    await events.attend(SECOND)
    clock.advance(30 * SECOND)
    await events.attend(60 * SECOND)
    assert clock.sleepers == 0


async def test_listener_that_had_come_to_its_end_is_new(process: Open) -> None:
    clock = VirtualClock()
    _, events = await process(clock)
    attending = asyncio.create_task(events.attend(2 * SECOND))
    while not clock.sleepers:
        await asyncio.sleep(0.001)
    clock.advance(2 * SECOND)
    await attending
    attending = asyncio.create_task(events.attend(2 * SECOND))
    while not clock.sleepers:
        await asyncio.sleep(0.001)
    assert not attending.done()
    clock.advance(LOOK_INTERVAL)
    await attending


async def test_with_nobody_there_it_is_looked_once_an_interval_and_nothing_is_stored(process: Open) -> None:
    clock = VirtualClock()
    database, events = await process(clock)
    for _ in range(100):
        if events.wanted:
            events.publish([a_notice()])
        await asyncio.sleep(0)
    await silent(events)
    for _ in range(1_000):
        assert not events.wanted
    assert database.count("attended_until > now()") == 1
    for _ in range(3):
        clock.advance(LOOK_INTERVAL)
        assert events.wanted
        events.publish([a_notice()])
        await silent(events)
    assert database.count("attended_until > now()") == 4
    assert database.count("insert into events") == 0


async def test_who_has_nothing_to_tell_asks_nothing(process: Open) -> None:
    database, _ = await process()
    await asyncio.sleep(0.05)
    assert database.asked == []


async def test_known_listener_is_not_looked_for_until_its_end(process: Open) -> None:
    _, reader = await process()
    await attend(reader)
    database, publisher = await process()
    start = await publisher.now()
    for number in range(20):
        publisher.publish([a_notice(number)])
        await asyncio.sleep(0.002)
    assert len(await read(publisher, start, 20)) == 20
    assert database.count("attended_until > now()") == 1


async def test_listener_that_has_left_is_forgotten(process: Open, migrated_url: str) -> None:
    _, reader = await process()
    await attend(reader)
    clock = VirtualClock()
    database, publisher = await process(clock)
    start = await reader.now()
    publisher.publish([a_notice()])
    await read(reader, start, 1)
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute("update event_feed set attended_until = now()")
    assert publisher.wanted, "it is still expected"
    clock.advance(HOUR)
    await silent(publisher)
    publisher.publish([a_notice()])
    assert database.count("insert into events") == 1


async def test_store_that_is_away_for_a_look_is_no_sign_that_nobody_listens(
    process: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, reader = await process()
    await attend(reader)
    database, publisher = await process()
    start = await reader.now()
    fetch, failed = database.fetch, asyncio.Event()

    async def fails_once(statement: Statement, /, **values: Any) -> Any:
        if not failed.is_set():
            failed.set()
            return await Database("postgresql://nobody@127.0.0.1:1/nothing").fetch(statement, **values)
        return await fetch(statement, **values)

    monkeypatch.setattr(database, "fetch", fails_once)
    notice = a_notice()
    publisher.publish([notice])
    await failed.wait()
    assert publisher.wanted
    assert await read(reader, start, 1) == [notice]


async def test_what_is_left_is_told_before_the_database_closes(
    process: Open, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing_module, "_LAST_SECONDS", 30)  # a machine that is busy with tests is slow
    _, reader = await process()
    await attend(reader)
    start = await reader.now()
    notices = [a_notice(number) for number in range(1_200)]
    async with Database(migrated_url) as database:
        PostgresEvents(database, RecordedMetrics(), SystemClock()).publish(notices)
    assert await read(reader, start, len(notices)) == notices


async def test_what_an_outage_swallowed_is_a_gap(process: Open, migrated_url: str) -> None:
    metrics = RecordedMetrics()
    _, reader = await process()
    await reader.attend(HOUR)
    start = await reader.now()
    async with Database(migrated_url, pool_size=1, max_overflow=0) as database:
        events = PostgresEvents(database, metrics, SystemClock())
        first = a_notice(1)
        events.publish([first])
        assert await read(reader, start, 1) == [first]
        with psycopg.connect(migrated_url, autocommit=True) as other:
            other.execute("alter table events rename to events_away")
            events.publish([a_notice(2)])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not metrics.counted[Counter.EVENTS_DROPPED, ""]:
                    await asyncio.sleep(0.01)
            other.execute("alter table events_away rename to events")
        reading = await reader.read(start, limit=10, patience=PATIENCE)
        while reading.complete:
            reading = await reader.read(reading.position, limit=10, patience=PATIENCE)
        last = a_notice(3)
        events.publish([last])
        assert await read(reader, reading.position, 1) == [last]


async def test_behind_a_pooler_nothing_is_prepared_and_nothing_is_left_in_the_session(process: Open) -> None:
    _, events = await process(pooled=True)
    await events.attend(HOUR)
    start = await events.now()
    notices = [a_notice(number) for number in range(3)]
    events.publish(notices)
    assert await read(events, start, 3) == notices
    await events.prune(AT_ONCE)
    database, _ = await process(pool_size=1, max_overflow=0)
    text, values = publishing([a_notice()])
    async with database.transaction() as session:
        await session.fetch(
            Statement(text, ("a", "b", "c", "d")), a=values[0], b=values[1], c=values[2], d=values[3]
        )
    rows: list[Row] = await database.fetch(
        Statement("select current_setting('synchronous_commit') as it", ())
    )
    assert rows[0]["it"] == "on"


async def test_pruning_goes_in_the_order_of_ids_whatever_became_of_the_clock(
    process: Open, migrated_url: str
) -> None:
    _, events = await process()
    await events.attend(HOUR)
    start = await events.now()
    for number in range(3):
        events.publish([a_notice(number)])
        await read(events, start, number + 1)
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(
            "update events set at = now() - interval '1 hour' where id = (select max(id) from events)"
        )
    await events.prune(60 * SECOND)
    assert len(await read(events, start, 3)) == 3


async def test_readers_and_prunes_do_not_walk_over_what_was_removed(process: Open) -> None:
    """By key, from where they are; whatever the table holds."""
    database, _ = await process()
    for name, values in (
        ("read_events", {"after": 5, "first": 6, "limit": 10}),
        ("prune_events", {"older_than": HOUR, "limit": 10}),
    ):
        statement = load(name)
        plan = await database.fetch(Statement(f"explain {statement.text}", statement.parameters), **values)
        told = "\n".join(row["QUERY PLAN"] for row in plan)
        assert "events_pkey" in told
        assert "Seq Scan on events" not in told


async def test_place_far_behind_the_beginning_of_a_batch_is_none(process: Open) -> None:
    """It would be read over, in one go."""
    _, events = await process()
    await events.attend(HOUR)
    start = await events.now()
    events.publish([a_notice()])
    at = (await events.read(start, limit=1, patience=PATIENCE)).position
    beyond = Position(at.replace(".0", ".999999"))
    assert beyond != at
    reading = await events.read(beyond, limit=10, patience=AT_ONCE)
    assert (reading.told, reading.position, reading.complete) == ((), at, False)
