"""What an idle process asks of the database, and of Redis."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from attrs import evolve, frozen
from benchmarks.postgres import temporary_server
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import Role, Store
from benchmarks.systems.counters import Readings
from redis import Redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.postgres import Database, Server
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

# On a server of its own, as writing every statement down would cost the others time.
SETTINGS = {"log_statement": "all", "log_line_prefix": "%d "}
STATEMENTS_PER_SECOND = Metric(
    key="statements_per_second", title="statements/s", digits=2, more_is_better=False
)
COMMANDS_PER_SECOND = Metric(
    key="commands_per_second", title="Redis commands/s", digits=2, more_is_better=False
)
WORKER, REAPER = "worker", "reaper"


class Idle:
    name = "idle"
    question = (
        "Statements, and commands to Redis, that a process sends in a second while there is nothing to do"
    )
    metrics = (STATEMENTS_PER_SECOND, COMMANDS_PER_SECOND)
    verbs = frozenset({"setup", "work"})
    roles = frozenset(Role)

    def cases(self, system: System) -> tuple[Case, ...]:
        return (Case(name=WORKER), *([Case(name=REAPER)] if "reap" in system.verbs else []))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        with ExitStack() as shared:
            stores: list[_Asked] = []
            if system.store is Store.POSTGRESQL:
                server = shared.enter_context(temporary_server(SETTINGS))
                bench = evolve(bench, server=server)
            stage = shared.enter_context(bench.staged(system))
            if stage.database is not None:
                stores.append(_Statements(server=bench.server, database=stage.database))
            if stage.redis_url is not None:
                stores.append(_Commands(redis=shared.enter_context(Redis.from_url(stage.redis_url))))

            def measure() -> Mapping[str, float]:
                with ExitStack() as stack:
                    if case.name == WORKER:
                        counters = stage.directory / "counters"
                        Readings(counters)
                        worker = stack.enter_context(stage.driver.working(counters, 0))
                        worker.ready()
                        process = worker.process
                    else:
                        process = stack.enter_context(stage.driver.running("reap", name="reap"))
                    time.sleep(bench.sizes.idle_settle_seconds)
                    before = [store.count() for store in stores]
                    began = time.monotonic()
                    time.sleep(bench.sizes.idle_seconds)
                    counted = [store.count() for store in stores]
                    seconds = time.monotonic() - began
                    process.must_run()
                return {
                    store.metric.key: (now - then - store.own) / seconds
                    for store, then, now in zip(stores, before, counted, strict=True)
                }

            yield measure


class _Asked(Protocol):
    """What a store has been asked."""

    @property
    def metric(self) -> Metric: ...

    @property
    def own(self) -> int:
        """How much of it was the asking for the count, between two of them."""
        ...

    def count(self) -> int: ...


@frozen(kw_only=True)
class _Statements:
    server: Server
    database: Database
    metric = STATEMENTS_PER_SECOND
    own = 0

    def count(self) -> int:
        statement = rf"^{self.database.name} LOG:  (statement|execute [^:]*): "
        return len(re.findall(statement, self.server.log(), re.MULTILINE))


@frozen(kw_only=True)
class _Commands:
    redis: Redis
    metric = COMMANDS_PER_SECOND
    own = 1

    def count(self) -> int:
        return int(self.redis.info("stats")["total_commands_processed"])
