"""Every check that reads in a transaction, by its name and in the order in which they are told."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from schedora.adapters.postgres.checks.claim import claim
from schedora.adapters.postgres.checks.clocks import clocks
from schedora.adapters.postgres.checks.connections import connections
from schedora.adapters.postgres.checks.horizon import horizon
from schedora.adapters.postgres.checks.locks import locks
from schedora.adapters.postgres.checks.notifications import notifications
from schedora.adapters.postgres.checks.processes import processes
from schedora.adapters.postgres.checks.schema import schema
from schedora.adapters.postgres.checks.server import server
from schedora.adapters.postgres.checks.storage import storage
from schedora.adapters.postgres.checks.work import work
from schedora.adapters.postgres.session import Session
from schedora.application.ports.clock import Clock
from schedora.application.ports.examination import Expected
from schedora.diagnosis.doctor.finding import Observation

Read = Callable[[Session], Awaitable[Observation]]


def every(*, pooled: bool, clock: Clock, expected: Expected) -> Mapping[str, Read]:
    return {
        "server": server,
        "schema": schema,
        "connections": partial(connections, expected=expected, pooled=pooled),
        "transactions": horizon,
        "locks": locks,
        "notifications": notifications,
        "storage": storage,
        "claim": claim,
        "clocks": partial(clocks, clock=clock),
        "processes": partial(processes, expected=expected),
        "work": partial(work, expected=expected),
    }
