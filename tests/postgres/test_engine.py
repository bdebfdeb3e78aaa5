"""The pool of connections: what it makes of a server that goes, stalls, restarts, or is busy."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from schedora.adapters.postgres import engine, health
from schedora.adapters.postgres.connection import UNHEARD_SECONDS_MAX, Connection
from schedora.adapters.postgres.embedded import EmbeddedServer, start_embedded
from schedora.adapters.postgres.embedded.pidfile import find_postmaster
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.health import PostgresHealth
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import StoreBusy, StoreUnavailable
from schedora.domain.outcome import Succeeded
from schedora_torture.proxy import BOTH
from tests.builders import a_new_job
from tests.contract.postgres import postgres_stores
from tests.postgres.test_embedded import is_gone
from tests.programs import PATIENCE_SECONDS
from tests.proxies import faulty_network

ME = Statement("select pg_backend_pid() as pid", ())
ONE = Statement("select 1 as one", ())
SLEEP = Statement("select pg_sleep(60)", ())
SETTING = Statement("select current_setting($1) as value", ("name",))
MAKE = Statement("create table written (n int)", ())
WRITE = Statement("insert into written values (1) returning n", ())
READ = Statement("select n from written", ())


async def pid_of(database: Database) -> int:
    [row] = await database.fetch(ME)
    pid: int = row["pid"]
    return pid


async def server_runs(url: str, what: str) -> int:
    """The process of the server that runs such a statement, as soon as one does."""
    query = (
        "select pid from pg_stat_activity"
        " where datname = current_database() and state = 'active' and query like %s and pid <> pg_backend_pid()"
    )
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        while not (found := await (await connection.execute(query, [what])).fetchone()):
            await asyncio.sleep(0.01)
    return int(found[0])


def terminate(url: str, pid: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("select pg_terminate_backend(%s, 5000)", [pid])


async def recovered(database: Database) -> None:
    """Until the pool has found out that its connections are gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await database.fetch(ONE)
            except StoreUnavailable:
                await asyncio.sleep(0.01)
            else:
                return


def small(url: str, **options: Any) -> Database:
    return Database(url, **{"pool_size": 1, "max_overflow": 0, **options})


async def test_nothing_works_before_it_is_open_or_once_it_is_closed(migrated_url: str) -> None:
    database = Database(migrated_url)
    with pytest.raises(RuntimeError, match="is not open"):
        _ = database.loop
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="is not open"):
            await database.fetch(ONE)
        await database.open()
        await database.open()  # which is open already
        assert len(await database.fetch(ONE)) == 1
        assert database.loop is asyncio.get_running_loop()
        await database.close()
    await database.close()


async def test_a_connection_that_breaks_in_mid_statement_is_told_and_replaced(migrated_url: str) -> None:
    async with small(migrated_url) as database:
        waiting = asyncio.create_task(database.fetch(SLEEP))
        terminate(migrated_url, await server_runs(migrated_url, "%pg_sleep%"))
        with pytest.raises(StoreUnavailable, match=r"broke|is starting or stopping"):
            await waiting
        assert len(await database.fetch(ONE)) == 1


async def test_a_transaction_whose_connection_breaks_leaves_nothing(migrated_url: str) -> None:
    async def write_and_break() -> None:
        async with database.transaction() as session:
            await session.fetch(WRITE)
            [row] = await session.fetch(ME)
            terminate(migrated_url, row["pid"])
            await session.fetch(WRITE)

    async with small(migrated_url) as database:
        await database.fetch(MAKE)
        with pytest.raises(StoreUnavailable):
            await write_and_break()
        await recovered(database)
        assert await database.fetch(READ) == []


async def test_a_transaction_that_cannot_commit_says_so(migrated_url: str) -> None:
    async def break_at_last() -> None:
        async with database.transaction() as session:
            await session.fetch(WRITE)
            [row] = await session.fetch(ME)
            terminate(migrated_url, row["pid"])

    async with small(migrated_url) as database:
        await database.fetch(MAKE)
        with pytest.raises(StoreUnavailable):
            await break_at_last()
        await recovered(database)
        assert await database.fetch(READ) == []


async def test_connections_that_broke_while_idle_are_replaced(migrated_url: str) -> None:
    async with Database(migrated_url) as database:
        pids = set(await asyncio.gather(*(pid_of(database) for _ in range(5))))
        for pid in pids:
            terminate(migrated_url, pid)
        await recovered(database)
        assert await pid_of(database) not in pids


async def test_who_waits_for_a_connection_gets_one_that_would_else_be_kept(migrated_url: str) -> None:
    async with small(migrated_url) as database:

        async def several() -> None:
            for _ in range(20):
                await database.fetch(ONE)

        async def one() -> None:
            async with database.transaction() as session:
                await session.fetch(ONE)

        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(several(), one(), several(), one())


async def test_it_tells_how_many_connections_are_in_use(migrated_url: str) -> None:
    database = Database(migrated_url, pool_size=1, max_overflow=1)
    assert database.use() == (0, 0, 0, 2)
    async with database:
        assert database.use() == (0, 0, 0, 2)
        async with database.transaction() as one, database.transaction() as other:
            await one.fetch(ONE)
            await other.fetch(ONE)
            assert database.use() == (2, 0, 0, 2)
            waiting = asyncio.create_task(database.fetch(ONE))
            while not database.use().waiting:
                await asyncio.sleep(0)
            assert database.use() == (2, 0, 1, 2)
        await waiting
        assert database.use() == (0, 2, 0, 2)
    assert database.use() == (0, 0, 0, 2)


async def test_few_connections_are_kept(migrated_url: str) -> None:
    async with Database(migrated_url) as database:
        await asyncio.gather(*(pid_of(database) for _ in range(10)))
        assert len(database._kept) <= engine._KEPT_MAX
        kept = database._kept[-1][0].get_server_pid()
        assert await pid_of(database) == kept, "the one that was used last"


async def test_what_was_kept_for_long_is_not_used_any_more(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small(migrated_url) as database:
        first = await pid_of(database)
        assert await pid_of(database) == first
        monkeypatch.setattr(engine, "_IDLE_SECONDS_MAX", 0.0)
        assert await pid_of(database) != first


async def test_what_ends_after_the_database_is_closed_keeps_nothing(migrated_url: str) -> None:
    database = Database(migrated_url)
    await database.open()
    async with database.transaction() as session:
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        await session.fetch(ONE)
    await closing
    assert not database._kept


async def test_a_statement_that_takes_too_long_is_given_up_by_the_server(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_GRACE", timedelta(seconds=PATIENCE_SECONDS))
    async with small(migrated_url, command_timeout=timedelta(seconds=1)) as database:
        pid = await pid_of(database)
        with pytest.raises(StoreUnavailable, match="canceled a statement that took too long"):
            await database.fetch(SLEEP)
        assert await pid_of(database) == pid, "the connection is as good as before"


async def test_a_server_that_does_not_answer_is_given_up_with_its_connection(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server would give up by itself, only later.
    monkeypatch.setattr(engine, "_GRACE", timedelta(seconds=-PATIENCE_SECONDS))
    patience = timedelta(seconds=PATIENCE_SECONDS + 1)
    async with small(migrated_url, command_timeout=patience) as database:
        pid = await pid_of(database)
        with pytest.raises(StoreUnavailable, match="did not answer in time"):
            await database.fetch(SLEEP)
        assert await pid_of(database) != pid


async def test_a_canceled_statement_leaves_the_pool_as_it_was(migrated_url: str) -> None:
    async with small(migrated_url) as database:
        waiting = asyncio.create_task(database.fetch(SLEEP))
        await server_runs(migrated_url, "%pg_sleep%")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert len(await database.fetch(ONE)) == 1


@pytest.mark.parametrize("within", ["a statement", "a transaction"])
async def test_whoever_is_canceled_waits_for_no_server(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    monkeypatch.setattr(engine, "_RELEASE_TIMEOUT_SECONDS", 3_600.0)

    async def wait_in_transaction() -> None:
        async with database.transaction() as session:
            await session.fetch(SLEEP)

    with faulty_network(migrated_url) as network:
        async with small(network.url) as database:
            waiting = asyncio.create_task(
                wait_in_transaction() if within == "a transaction" else database.fetch(SLEEP)
            )
            await server_runs(migrated_url, "%pg_sleep%")
            network.swallow(BOTH)
            waiting.cancel()
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            network.heal()
            assert len(await database.fetch(ONE)) == 1, "its connection was cleaned up behind it"


async def test_a_peer_that_is_out_of_reach_is_noticed_by_the_sockets(migrated_url: str) -> None:
    with faulty_network(migrated_url) as network:
        async with Database(network.url) as database:
            connection = await database.connect()
            own = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            if sys.platform == "linux":
                limit_ms = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
                assert limit_ms == UNHEARD_SECONDS_MAX * 1_000
            await connection.close()


async def test_server_is_asked_to_notice_a_client_that_is_out_of_reach(migrated_url: str) -> None:
    asked: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.read(4_096)).decode("utf-8", "replace"))
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with (
        server,
        small(f"postgresql://u@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable") as database,
    ):
        with pytest.raises(StoreUnavailable):
            await database.fetch(ONE)
    assert f"tcp_user_timeout\0{UNHEARD_SECONDS_MAX * 1_000}\0" in asked[0]
    async with small(migrated_url) as database:  # and it takes that, over a local socket as well
        assert len(await database.fetch(ONE)) == 1


async def test_a_canceled_transaction_is_rolled_back(migrated_url: str) -> None:
    async def write_and_wait() -> None:
        async with database.transaction() as session:
            await session.fetch(WRITE)
            await session.fetch(SLEEP)

    async with small(migrated_url) as database:
        await database.fetch(MAKE)
        waiting = asyncio.create_task(write_and_wait())
        await server_runs(migrated_url, "%pg_sleep%")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await database.fetch(READ) == []


async def test_a_transaction_canceled_at_its_beginning_is_rolled_back(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Connection.execute

    async def canceled_after(connection: Any, query: str, **options: Any) -> str:
        answer: str = await execute(connection, query, **options)
        if query == "begin":
            raise asyncio.CancelledError
        return answer

    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
    async with small(migrated_url) as database:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "execute", canceled_after)
            with pytest.raises(asyncio.CancelledError):
                async with database.transaction():
                    raise AssertionError("it began")
        assert len(await database.fetch(ONE)) == 1
    assert complaints == []


async def test_a_connection_whose_state_is_in_doubt_is_not_used_again(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(_connection: object, query: str, **_: object) -> None:
        await asyncio.sleep(0)
        raise TimeoutError(query)

    async def fail() -> None:
        async with database.transaction() as session:
            await session.fetch(WRITE)
            patch.setattr(Connection, "execute", no_answer)
            raise LookupError("the caller's own")

    async with small(migrated_url) as database:
        await database.fetch(MAKE)
        pid = await pid_of(database)
        with monkeypatch.context() as patch, pytest.raises(LookupError, match="the caller's own"):
            await fail()
        assert await pid_of(database) != pid
        assert await database.fetch(READ) == []


async def test_all_connections_in_use_is_told_as_such(migrated_url: str) -> None:
    async with Database(migrated_url, pool_size=1, max_overflow=1) as database:
        async with database.transaction(), database.transaction():
            with pytest.raises(StoreBusy, match=r"all 2 connections to .* in use for 0\.05 seconds"):
                await database.ping(timedelta(seconds=0.05))
        assert len(await database.fetch(ONE)) == 1


async def test_a_server_that_accepts_and_says_nothing_is_told_as_such() -> None:
    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    over = asyncio.Event()
    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"postgresql://u@127.0.0.1:{server.sockets[0].getsockname()[1]}/d?sslmode=disable"
    async with server, small(url, connect_timeout=timedelta(seconds=0.05)) as database:
        with pytest.raises(
            StoreUnavailable, match=r"the database d at 127\.0\.0\.1:\d+ did not answer in time"
        ):
            await database.fetch(ONE)
        over.set()


async def test_waiting_for_a_connection_ends_when_one_is_free(migrated_url: str) -> None:
    async with small(migrated_url) as database:
        async with database.transaction():
            waiting = asyncio.create_task(database.fetch(ONE))
            await asyncio.sleep(0)
        assert len(await waiting) == 1


@pytest.fixture
def few(migrated_url: str, postgres_server_url: str) -> Iterator[Callable[[int], str]]:
    """The URL of one who may have so many connections and no more. Roles are of the whole server, which other tests have, too."""
    database = migrated_url.partition("?")[0].rpartition("/")[2]
    role = f"few_{secrets.token_hex(8)}"
    scheme, _, rest = migrated_url.partition("://")
    authority, slash, place = rest.partition("/")
    _, _, hosts = authority.rpartition("@")
    with psycopg.connect(postgres_server_url, autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'few'".encode())
        connection.execute(f"grant connect on database {database} to {role}".encode())

        def limited(connections: int) -> str:
            connection.execute(f"alter role {role} connection limit {connections}".encode())
            return f"{scheme}://{role}:few@{hosts}{slash}{place}"

        yield limited
        connection.execute(f"revoke connect on database {database} from {role}".encode())
        connection.execute(f"drop role {role}".encode())


async def test_a_server_that_has_no_connection_left_is_told_as_such(
    few: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_ASK_AGAIN_SECONDS", 3600.0)
    async with Database(few(0)) as database:
        answers = await asyncio.gather(*(database.fetch(ONE) for _ in range(5)), return_exceptions=True)
        for answer in answers:
            with pytest.raises(StoreUnavailable, match="is out of resources: too many connections"):
                raise answer if isinstance(answer, BaseException) else AssertionError(answer)


async def test_few_connections_are_enough_to_go_on_with(
    few: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where others use up what the server has: each waits for one that comes free, however many come at once."""
    monkeypatch.setattr(engine, "_ASK_AGAIN_SECONDS", 3600.0)
    async with Database(few(2)) as database:
        answers = await asyncio.gather(*(database.fetch(ME) for _ in range(40)))
        pids = {answer[0]["pid"] for answer in answers}
        assert len(pids) == 2
        async with database.transaction(), database.transaction():
            canceled, waiting = (asyncio.create_task(database.fetch(ME)) for _ in range(2))
            await until_refused(database, 2)
            canceled.cancel()
        assert (await waiting)[0]["pid"] in pids
        assert not database.use().waiting


async def test_all_that_the_server_gives_in_use_is_told_as_such(few: Callable[[int], str]) -> None:
    async with Database(few(1)) as database:
        async with database.transaction():
            with pytest.raises(StoreBusy, match=r"all 1 connections to .* in use for 0\.05 seconds"):
                await database.ping(timedelta(seconds=0.05))
        await database.ping(timedelta(seconds=PATIENCE_SECONDS))


async def test_a_server_that_has_connections_again_is_asked_for_one(
    few: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_ASK_AGAIN_SECONDS", 0.01)
    async with Database(few(1)) as database, database.transaction():
        waiting = asyncio.create_task(database.fetch(ME))
        await until_refused(database, 1)
        few(2)
        assert len(await waiting) == 1


async def until_refused(database: Database, count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(database._refused) < count:
            await asyncio.sleep(0.001)


async def test_closing_waits_for_what_is_under_way_but_not_for_ever(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_CLOSE_TIMEOUT_SECONDS", 0.05)
    database = small(migrated_url)
    await database.open()
    waiting = asyncio.create_task(database.fetch(SLEEP))
    await server_runs(migrated_url, "%pg_sleep%")
    await database.close()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_what_comes_before_the_close_still_has_connections(migrated_url: str) -> None:
    told: list[int] = []
    database = small(migrated_url)

    async def last_words() -> None:
        told.append(await pid_of(database))

    database.before_close(last_words)
    async with database:
        pass
    assert len(told) == 1


async def test_what_comes_before_the_close_does_not_keep_it_from_a_server_that_hangs(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_CLOSE_TIMEOUT_SECONDS", 0.05)
    database = small(migrated_url)

    async def last_words() -> None:
        await database.fetch(SLEEP)

    database.before_close(last_words)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await database.open()
        assert len(await database.fetch(ONE)) == 1
        await database.close()
    assert database.use().in_use == 0
    with pytest.raises(StoreUnavailable, match="is not open"):
        await database.fetch(ONE)


async def test_health_is_the_servers_answer(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_PATIENCE", timedelta(seconds=PATIENCE_SECONDS))
    async with small(migrated_url) as database:
        await PostgresHealth(database).check()
    async with small("postgresql://u@127.0.0.1:1/d") as database:
        with pytest.raises(StoreUnavailable, match=r"the database d at 127\.0\.0\.1"):
            await PostgresHealth(database).check()


async def test_a_database_that_takes_no_writes_is_not_healthy(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_PATIENCE", timedelta(seconds=PATIENCE_SECONDS))
    name = migrated_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        connection.execute(f"alter database {name} set default_transaction_read_only = on".encode())
    async with small(migrated_url) as database:
        with pytest.raises(StoreUnavailable, match="takes no writes"):
            await PostgresHealth(database).check()


async def test_connections_pin_their_plans(database: Database) -> None:
    [generic] = await database.fetch(SETTING, name="plan_cache_mode")
    [scan] = await database.fetch(SETTING, name="enable_seqscan")
    assert (generic["value"], scan["value"]) == ("force_generic_plan", "off")


@pytest.mark.parametrize("how", ["option", "url"])
async def test_behind_a_pooler_nothing_is_kept_in_a_session(migrated_url: str, how: str) -> None:
    url = (
        migrated_url
        if how == "option"
        else f"{migrated_url}{'&' if '?' in migrated_url else '?'}pgbouncer=true"
    )
    async with Database(url, pooled=how == "option", pool_size=1, max_overflow=0) as database:
        stores = postgres_stores(database)
        await stores.add(a_new_job())
        [claimed] = await stores.claim(await stores.worker())
        assert await stores.complete(claimed, Succeeded())
        prepared = await database.fetch(
            Statement("select name from pg_prepared_statements where name <> ''", ())
        )
        assert prepared == []
        for name, own in (
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("statement_timeout", "30s"),
        ):
            [row] = await database.fetch(SETTING, name=name)
            assert row["value"] == own, "a transaction comes without it"
            async with database._connection() as connection:
                assert await connection.fetchval("select current_setting($1)", name) != own, "it stays behind"


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A server of the test's own, to do with as it likes."""
    with TemporaryDirectory(prefix="schedora-tests-") as directory:
        server = start_embedded(Path(directory), settings={"fsync": "off"})
        yield server
        server.release()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["stopped", "killed"])
async def test_a_server_that_restarts_is_away_and_back(
    own_server: EmbeddedServer, how: signal.Signals
) -> None:
    postmaster = find_postmaster(own_server._home.cluster)
    assert postmaster is not None
    async with Database(own_server.url) as database:
        await database.fetch(MAKE)
        await database.fetch(WRITE)
        waiting = asyncio.create_task(database.fetch(SLEEP))
        await server_runs(own_server.url, "%pg_sleep%")
        os.kill(postmaster.pid, how)
        with pytest.raises(StoreUnavailable):
            await waiting
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not is_gone(postmaster):
                await asyncio.sleep(0.01)
        with pytest.raises(StoreUnavailable, match="the database schedora at"):
            await database.fetch(ONE)
        await asyncio.to_thread(own_server.ensure_running)
        await recovered(database)
        assert [row["n"] for row in await database.fetch(READ)] == [1]
