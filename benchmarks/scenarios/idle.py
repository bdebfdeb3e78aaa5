"""What an idle process asks of the database."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import evolve
from benchmarks.postgres import temporary_server
from benchmarks.scenarios.scenario import Case, Metric
from benchmarks.systems.catalogue import Role, Store
from benchmarks.systems.counters import Readings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.bench import Bench
    from benchmarks.scenarios.scenario import Round
    from benchmarks.systems.catalogue import System

# On a server of its own, as writing every statement down would cost the others time.
SETTINGS = {"log_statement": "all", "log_line_prefix": "%d "}
WORKER, REAPER = "worker", "reaper"


class Idle:
    name = "idle"
    question = "Statements a second that a process sends while there is nothing to do"
    metrics = (Metric(key="statements_per_second", title="statements/s", digits=2, more_is_better=False),)
    verbs = frozenset({"setup", "work"})
    roles = frozenset(Role)

    def cases(self, system: System) -> tuple[Case, ...]:
        if system.store is not Store.POSTGRESQL:
            return ()
        return (Case(name=WORKER), *([Case(name=REAPER)] if "reap" in system.verbs else []))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        with temporary_server(SETTINGS) as server, evolve(bench, server=server).staged(system) as stage:
            if stage.database is None:
                raise RuntimeError(f"{system.name} has no database")
            statement = re.compile(rf"^{stage.database.name} LOG:  (statement|execute [^:]*): ", re.MULTILINE)

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
                    said_before = len(server.log())
                    began = time.monotonic()
                    time.sleep(bench.sizes.idle_seconds)
                    said = server.log()[said_before:]
                    seconds = time.monotonic() - began
                    process.must_run()
                return {"statements_per_second": len(statement.findall(said)) / seconds}

            yield measure
