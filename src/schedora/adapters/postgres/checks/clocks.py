"""By how much clocks differ from the database's."""

import os
import socket
from datetime import timedelta

from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.application.ports.clock import Clock
from schedora.domain.checks.clocks import ClockReading, Clocks

_NOW = written("select clock_timestamp() as at")
_TRIES = 3


async def clocks(session: Session, *, clock: Clock) -> Clocks:
    return Clocks(readings=[await _of_this_process(session, clock)])


async def _of_this_process(session: Session, clock: Clock) -> ClockReading:
    """By the quickest of a few answers: the database's clock was read at some time between asking and answer."""
    readings = []
    for _ in range(_TRIES):
        asked_at, began = clock.now(), clock.monotonic()
        (row,) = await session.fetch(_NOW)
        taken = clock.monotonic() - began
        readings.append((taken, asked_at + taken / 2 - row["at"]))
    taken, ahead = min(readings)
    return ClockReading(
        process=f"process {os.getpid()} on {socket.gethostname()}",
        ahead=ahead,
        uncertainty=taken / 2 + timedelta(0),
    )
