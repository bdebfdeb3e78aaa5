"""What is wrong, what follows from it, and what helps: every check, whatever comes of the others."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs
from attrs import frozen

from schedora.application.errors import StoreUnavailable
from schedora.application.log import Logger
from schedora.application.ports.clock import Clock
from schedora.application.ports.examination import Check, Examination
from schedora.diagnosis.doctor.finding import Finding, Severity, worst
from schedora.diagnosis.doctor.reach import RedisReach

CHECK_PATIENCE = timedelta(seconds=10)
"""Longer than any of them gives the server it asks."""
PATIENCE = timedelta(seconds=14)
"""For all of them: who has to wait for another examination first is answered all the same before clients give up, after half a
minute.
"""
ALIKE_MAX = 5
"""Findings of one code in one check: whoever has more to mend begins with those."""

NOT_DONE = "not_done"

log = Logger("schedora.doctor")


@frozen(kw_only=True)
class Checked:
    """What came of one check. ``not_done``: why it, or a part of it, could not be done."""

    name: str
    findings: tuple[Finding, ...] = ()
    not_done: str | None = None

    @property
    def status(self) -> str:
        """The worst that it has found; ``not_done`` where nothing was found in what could be done."""
        severity = worst(finding.severity for finding in self.findings)
        return NOT_DONE if self.not_done is not None and severity is Severity.OK else severity.value


@frozen(kw_only=True)
class Diagnosis:
    at: datetime
    lasted: timedelta
    checks: tuple[Checked, ...]

    @property
    def findings(self) -> list[tuple[str, Finding]]:
        """Each with the check that found it; worst first."""
        found = [(check.name, finding) for check in self.checks for finding in check.findings]
        return sorted(found, key=lambda named: -named[1].severity.rank)

    @property
    def severity(self) -> Severity:
        return worst(finding.severity for _, finding in self.findings)


_NO_REDIS = (Checked(name="redis", findings=tuple(RedisReach(configured=False).findings())),)


class Examine:
    """One examination at a time in a process: who asks while one is under way shares the next one."""

    def __init__(self, *, store: Examination, redis: Examination | None, clock: Clock) -> None:
        self._store = store
        self._redis = redis
        self._clock = clock
        self._turn = asyncio.Lock()
        self._begun = 0
        self._last: tuple[int, Diagnosis] | None = None
        """With how many had begun before."""

    async def __call__(self) -> Diagnosis:
        begun_before = self._begun
        async with self._turn:
            if self._last is None or self._last[0] < begun_before:
                number, self._begun = self._begun, self._begun + 1
                self._last = number, await self._examine()
            return self._last[1]

    async def _examine(self) -> Diagnosis:
        at, began_at = self._clock.now(), self._clock.monotonic()
        until = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
        # First the one that answers or fails in a moment, whatever becomes of the other.
        redis = _NO_REDIS if self._redis is None else await _examined(self._redis, until)
        checks = (*await _examined(self._store, until), *redis)
        return Diagnosis(at=at, lasted=self._clock.monotonic() - began_at, checks=checks)


async def _examined(examination: Examination, until: float) -> tuple[Checked, ...]:
    async with examination.begun() as checks:
        return tuple([await _checked(check, until) for check in checks])


async def _checked(check: Check, until: float) -> Checked:
    """``until``: when the examination has to end, by the event loop."""
    given_up = asyncio.get_running_loop().time() + CHECK_PATIENCE.total_seconds()
    try:
        async with asyncio.timeout_at(min(given_up, until)):
            observation = await check.read()
        return Checked(
            name=check.name, findings=tuple(_limited(observation.findings())), not_done=observation.unseen
        )
    except StoreUnavailable as error:
        return Checked(name=check.name, not_done=str(error))
    except TimeoutError:
        if given_up <= until:
            return Checked(
                name=check.name, not_done=f"it took longer than {CHECK_PATIENCE.total_seconds():g} s"
            )
        return Checked(
            name=check.name, not_done=f"all checks took longer than {PATIENCE.total_seconds():g} s"
        )
    except Exception as error:  # whatever it is: the other checks are wanted all the more
        log.exception("a check of the doctor broke", check=check.name)
        return Checked(name=check.name, not_done=f"it broke: {type(error).__name__}")


def _limited(findings: Iterable[Finding]) -> list[Finding]:
    """The last one of a code that has too many says how many more there are."""
    worst_first = sorted(findings, key=lambda finding: -finding.severity.rank)
    amounts = Counter(finding.code for finding in worst_first)
    seen: Counter[str] = Counter()
    kept = []
    for finding in worst_first:
        seen[finding.code] += 1
        if seen[finding.code] <= ALIKE_MAX:
            more = amounts[finding.code] - ALIKE_MAX
            last = seen[finding.code] == ALIKE_MAX and more > 0
            kept.append(
                attrs.evolve(finding, found=f"{finding.found} (and {more} more like it)") if last else finding
            )
    return kept
