"""The connection to PostgreSQL: a pool of asyncpg connections and what may be expected of it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple, Self

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from schedora.adapters.postgres.connection import SERVER_SETTINGS, Connection
from schedora.adapters.postgres.errors import connecting_to, translated
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.session import Row, Session, TransactionSession
from schedora.adapters.postgres.statements import Statement
from schedora.application.errors import StoreBusy, StoreUnavailable

_PLANNER = {
    # How a statement is written decides how it is run, not what statistics say of tables that were empty a
    # minute ago and hold a million rows now: nested loops over the indexes that the statement names. Planned
    # once per connection, since the plan is always the same.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}

_READ_ONLY = "select current_setting('transaction_read_only')"
"""On at a standby as well."""
_RELEASE_TIMEOUT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 5.0
_GRACE = timedelta(seconds=2)
_KEPT_MAX = 4
"""Connections that stay out of the pool between uses: to take one out and to hand it back costs as much as a round
trip.
"""
_ASK_AGAIN_SECONDS = 0.5
"""Whether a server that had no connection left has one again, while one of this process's own may come free."""
_IDLE_SECONDS_MAX = 300.0
"""As in the pool: what stands between here and the server may have forgotten the connection."""


class ConnectionUse(NamedTuple):
    in_use: int
    idle: int
    waiting: int
    """Calls that have none yet."""
    connections_max: int


class Database:
    """One process's way to the database, for one event loop. Connects when it is first used.

    At most ``pool_size + max_overflow`` connections. A server that does not answer is noticed after
    ``connect_timeout`` or a little after ``command_timeout``. With ``pooled``, ``?pgbouncer=true`` in the URL or a
    ``direct_url``, it works behind a pooler in transaction mode: statements are not kept prepared, and every one is a
    transaction. ``direct_url`` leads to the same database past that pooler.

    Whoever is canceled goes at once, though the server may not answer: his connection is cleaned up, or given up, behind him.

    Raises ``ValueError`` for a URL that is none. All methods raise ``StoreUnavailable``.
    """

    def __init__(
        self,
        url: str,
        *,
        direct_url: str | None = None,
        pool_size: int = 20,
        max_overflow: int = 40,
        connect_timeout: timedelta = timedelta(seconds=5),
        command_timeout: timedelta = timedelta(seconds=30),
        pooled: bool = False,
    ) -> None:
        location = Location.parse(url)
        self.description = location.description
        self._url = location.url
        self._direct = None if direct_url is None else Location.parse(direct_url)
        self._connections_max = pool_size + max_overflow
        self._connect_timeout = location.connect_timeout or connect_timeout
        self._command_timeout = command_timeout
        self.pooled = (pooled or direct_url is not None) if location.pooled is None else location.pooled
        # The server gives up by itself, so that nothing goes on there that nobody waits for; the client gives up
        # a little later, for when the server does not answer at all.
        limit_ms = str(int(command_timeout / timedelta(milliseconds=1)))
        self._settings = {
            "statement_timeout": limit_ms,
            "idle_in_transaction_session_timeout": limit_ms,
            **_PLANNER,
        }
        self.begin = "begin"
        """What a transaction begins with. Where sessions have no settings of their own, it brings them along."""
        if self.pooled:
            self.begin = "; ".join(
                ["begin", *(f"set local {name} = '{value}'" for name, value in self._settings.items())]
            )
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._kept: list[tuple[PoolConnectionProxy[asyncpg.Record], float]] = []
        """Each with the time of its last use, on the loop's clock."""
        self._acquiring = 0
        self._refused: deque[asyncio.Future[None]] = deque()
        """Those whom the server has no connection for, and who wait for one that comes free here; the first first."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cleaning: set[asyncio.Task[None]] = set()
        self._before_close: list[Callable[[], Awaitable[None]]] = []

    async def open(self) -> None:
        """Does not connect yet: a server that is away is noticed by whoever needs it."""
        if self._pool is None:
            self._loop = asyncio.get_running_loop()
            with translated(self.description):
                self._pool = await asyncpg.create_pool(
                    min_size=0, max_size=self._connections_max, **self._connecting()
                )

    async def close(self) -> None:
        """Lets what is under way come to its end, for a moment; then closes all connections."""
        pool = self._pool
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                for action in self._before_close:
                    await action()
                self._pool = None
                kept, self._kept = self._kept, []
                if pool is not None:
                    for connection, _ in kept:
                        await pool.release(connection)
                    await pool.close()
        except TimeoutError:
            self._pool, self._kept = None, []
            if pool is not None:
                pool.terminate()

    def use(self) -> "ConnectionUse":
        """As it stands. May be asked from any thread."""
        pool = self._pool
        opened = idle = 0
        if pool is not None:
            opened, idle = pool.get_size(), pool.get_idle_size() + len(self._kept)
        return ConnectionUse(
            in_use=max(0, opened - idle),
            idle=idle,
            waiting=self._acquiring,
            connections_max=self._connections_max,
        )

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that all of this runs on. Raises ``RuntimeError`` before it is opened."""
        if self._loop is None:
            raise RuntimeError(f"{self.description} is not open")
        return self._loop

    def before_close(self, action: Callable[[], Awaitable[None]]) -> None:
        """What must come to an end before the connections do; it is given a moment."""
        self._before_close.append(action)

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        """One statement, which is a transaction of its own."""
        if self.pooled:
            async with self.transaction() as session:
                return await session.fetch(statement, **values)
        async with self._connection() as connection:
            return await TransactionSession(connection, self.description).fetch(statement, **values)

    async def ping(self, patience: timedelta) -> None:
        """Returns if the server answers within that time, and takes writes."""
        async with self._connection(patience) as connection:
            with translated(self.description):
                read_only = await connection.fetchval(_READ_ONLY, timeout=patience.total_seconds())
        if read_only == "on":
            raise StoreUnavailable(f"{self.description} takes no writes")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Committed on a clean exit, rolled back on an exception, which is passed on."""
        async with self._connection(in_transaction=True) as connection:
            try:
                with translated(self.description):
                    await connection.execute(self.begin)
                yield TransactionSession(connection, self.description)
            except asyncio.CancelledError:  # rolled back behind whoever is canceled
                raise
            except BaseException:
                await _roll_back(connection)
                raise
            with translated(self.description):
                await connection.execute("commit")

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside of the pool, to be closed by whoever asks for it."""
        with connecting_to(self.description):
            return await asyncpg.connect(**self._connecting())

    @property
    def has_sessions(self) -> bool:
        """Whether ``connect_with_session`` gives one, as far as is said."""
        return self._direct is not None or not self.pooled

    async def connect_with_session(self) -> "asyncpg.Connection[asyncpg.Record]":
        """As ``connect``, but with a session of the server's that is its own from transaction to transaction."""
        if self._direct is None:
            return await self.connect()
        with connecting_to(self._direct.description):
            # Without settings of sessions: the way past a pooler in transaction mode may be one in session mode.
            return await asyncpg.connect(
                self._direct.url,
                timeout=(self._direct.connect_timeout or self._connect_timeout).total_seconds(),
                command_timeout=(self._command_timeout + _GRACE).total_seconds(),
                connection_class=Connection,
                statement_cache_size=0,
                server_settings={"application_name": "schedora"},
            )

    @asynccontextmanager
    async def _connection(
        self, patience: timedelta | None = None, *, in_transaction: bool = False
    ) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        if self._pool is None:
            raise StoreUnavailable(f"{self.description} is not open")
        pool = self._pool
        connection = self._taken() or await self._acquired(pool, patience or self._command_timeout)
        keep = canceled = False
        try:
            yield connection
            # Not while others wait for one, and not once there is another pool or none.
            keep = not self._acquiring and len(self._kept) < _KEPT_MAX and pool is self._pool
        except asyncio.CancelledError:
            canceled = True
            raise
        except StoreUnavailable as error:
            if isinstance(error.__cause__, TimeoutError | asyncpg.InternalClientError):
                _discard(connection)  # it may answer some day, and then to the wrong question
            raise
        finally:
            if keep:
                self._kept.append((connection, self.loop.time()))
            elif canceled:
                cleaning = self.loop.create_task(_clean_up(pool, connection, in_transaction=in_transaction))
                self._cleaning.add(cleaning)
                cleaning.add_done_callback(self._cleaned_up)
            else:
                try:
                    with translated(self.description):
                        await pool.release(connection, timeout=_RELEASE_TIMEOUT_SECONDS)
                finally:
                    self._tell_of_one_free()

    def _cleaned_up(self, cleaning: "asyncio.Task[None]") -> None:
        self._cleaning.discard(cleaning)
        self._tell_of_one_free()

    def _taken(self) -> "PoolConnectionProxy[asyncpg.Record] | None":
        """The one of those kept that was used last, if there is any."""
        while self._kept:
            connection, used_at = self._kept.pop()
            with suppress(asyncpg.InterfaceError):  # it broke, and the pool has taken it back
                if not connection.is_closed() and self.loop.time() - used_at < _IDLE_SECONDS_MAX:
                    return connection
            _discard(connection)
        return None

    async def _acquired(
        self, pool: "asyncpg.Pool[asyncpg.Record]", patience: timedelta
    ) -> "PoolConnectionProxy[asyncpg.Record]":
        give_up_at = self.loop.time() + patience.total_seconds()
        refused = False
        self._acquiring += 1
        with connecting_to(self.description):
            try:
                if self._refused:  # nobody passes those who wait
                    await self._one_free(give_up_at)
                while True:
                    try:
                        return await pool.acquire(timeout=give_up_at - self.loop.time())
                    except asyncpg.TooManyConnectionsError as error:
                        refused = True
                        if not pool.get_size() and self._acquiring - len(self._refused) == 1:
                            self._refuse(error)
                            raise
                    # Those that this process has, or is about to have, are enough to go on with.
                    if not pool.get_idle_size():
                        await self._one_free(give_up_at)
            except TimeoutError:
                opened = pool.get_size()
                if not opened or opened - pool.get_idle_size() < (
                    opened if refused else self._connections_max
                ):
                    raise
                raise StoreBusy(
                    f"all {opened} connections to {self.description} were in use for"
                    f" {patience.total_seconds():g} seconds"
                ) from None
            finally:
                self._acquiring -= 1

    async def _one_free(self, give_up_at: float) -> None:
        """Returns once there may be one, of this process's or of the server's. Raises ``TimeoutError``."""
        told = self.loop.create_future()
        self._refused.append(told)
        ask_again_at = min(give_up_at, self.loop.time() + _ASK_AGAIN_SECONDS)
        try:
            async with asyncio.timeout_at(ask_again_at):
                await told
        except TimeoutError:
            if ask_again_at == give_up_at:
                raise
        finally:
            with suppress(ValueError):  # who was told is out of it
                self._refused.remove(told)

    def _refuse(self, error: Exception) -> None:
        """There is nothing to wait for."""
        for told in self._refused:
            if not told.done():
                told.set_exception(error)

    def _tell_of_one_free(self) -> None:
        while self._refused:
            told = self._refused.popleft()
            if not told.done():
                told.set_result(None)
                return

    def _connecting(self) -> dict[str, Any]:
        return {
            "dsn": self._url,
            "timeout": self._connect_timeout.total_seconds(),
            "command_timeout": (self._command_timeout + _GRACE).total_seconds(),
            "connection_class": Connection,
            # A pooler hands each transaction to another server process, which knows neither the statements
            # prepared before nor, when it is PgBouncer, more settings than these.
            "statement_cache_size": 0 if self.pooled else 256,
            "max_cacheable_statement_size": 64 * 1024,
            "server_settings": {
                "application_name": "schedora",
                **({} if self.pooled else SERVER_SETTINGS | self._settings),
            },
        }


async def _clean_up(
    pool: "asyncpg.Pool[asyncpg.Record]",
    connection: "PoolConnectionProxy[asyncpg.Record]",
    *,
    in_transaction: bool,
) -> None:
    """Never raises, and ends soon: what does not answer is closed."""
    try:
        if in_transaction:
            await _roll_back(connection)
        await pool.release(connection, timeout=_RELEASE_TIMEOUT_SECONDS)
    except Exception:  # noqa: BLE001 - the pool has closed what it could not take back
        _discard(connection)


async def _roll_back(connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    """Never raises: what led here is what the caller should see."""
    try:
        await connection.execute("rollback", timeout=_RELEASE_TIMEOUT_SECONDS)
    except Exception:  # noqa: BLE001 - whatever it is, a connection in an unknown state must not be used again
        _discard(connection)


def _discard(connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
    with suppress(asyncpg.InterfaceError):  # it broke, and the pool has taken it back already
        connection.terminate()
