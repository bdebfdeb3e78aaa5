"""By how much clocks differ from the database's."""

import os
import socket

from schedora.adapters.postgres.process_reports import fresh_reports
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import written
from schedora.application.ports.clock import Clock
from schedora.application.reported import clock_readings
from schedora.diagnosis.doctor.clocks import ClockReading, Clocks
from schedora.domain.process import FRESH_FOR

_NOW = written("select clock_timestamp() as at")
_TRIES = 3


async def clocks(session: Session, *, clock: Clock) -> Clocks:
    host, pid = socket.gethostname(), os.getpid()
    others = [
        report
        for report in await fresh_reports(session, FRESH_FOR)
        if (report.identity.hostname, report.identity.pid) != (host, pid)
    ]
    return Clocks(
        readings=[await _of_this_process(session, clock, f"process {pid} on {host}"), *clock_readings(others)]
    )


async def _of_this_process(session: Session, clock: Clock, named: str) -> ClockReading:
    """By the quickest of a few answers: the database's clock was read at some time between asking and answer."""
    readings = []
    for _ in range(_TRIES):
        asked_at, began = clock.now(), clock.monotonic()
        (row,) = await session.fetch(_NOW)
        taken = clock.monotonic() - began
        readings.append((taken, asked_at + taken / 2 - row["at"]))
    taken, ahead = min(readings)
    return ClockReading(process=named, ahead=ahead, uncertainty=taken / 2)
