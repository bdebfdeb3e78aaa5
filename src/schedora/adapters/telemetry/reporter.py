"""Tells the store how the gauges of this process stand, every few seconds."""

import asyncio
from contextlib import suppress

from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.process_reports import ProcessReports
from schedora.domain.process import REPORTED_EVERY, ProcessIdentity, ProcessKind

log = Logger("schedora.metrics")


class Reporter:
    def __init__(
        self,
        identity: ProcessIdentity,
        gauges: RegisteredGauges,
        reports: ProcessReports,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._gauges = gauges
        self._reports = reports
        self._clock = clock
        self._told = False

    async def report(self) -> None:
        """Raises ``StoreUnavailable``."""
        self._told = True
        await self._reports.put(self._identity, clock_at=self._clock.now(), gauges=self._gauges.read())

    async def run(self, stop: asyncio.Event) -> None:
        """Reports until ``stop`` is set, and takes back what it told then.

        A program that submits jobs tells nothing before it has run for a while: most are gone by then.
        """
        stopped = self._identity.kind is ProcessKind.CLIENT and await self._clock.wait(stop, REPORTED_EVERY)
        while not stopped:
            try:
                await self.report()
            except StoreUnavailable as error:
                log.debug("nobody was told how this process is", reason=str(error))
            stopped = await self._clock.wait(stop, REPORTED_EVERY)
        if self._told:
            with suppress(StoreUnavailable):
                await self._reports.withdraw(self._identity.process_id)
