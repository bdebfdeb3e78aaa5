"""Every check is done, whatever comes of the others, and once for all who ask at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from attrs import define, field, frozen

from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.errors import StoreUnavailable
from schedora.application.ports.examination import Check
from schedora.application.queries import doctor
from schedora.application.queries.doctor import ALIKE_MAX, Diagnosis, Examine
from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, Severity

OK, WARNING, CRITICAL = Severity


@frozen
class Seen(Observation):
    severities: tuple[Severity, ...] = ()
    code: str = "sick"

    def findings(self) -> Iterator[Finding]:
        for number, severity in enumerate(self.severities):
            yield FindingType(self.code, consequence="", fix="").found(severity, f"{severity} {number}")


def seen(*severities: Severity, unseen: str | None = None) -> Callable[[], Awaitable[Observation]]:
    async def read() -> Observation:
        return Seen(severities, unseen=unseen)

    return read


def failing(error: Exception) -> Callable[[], Awaitable[Observation]]:
    async def read() -> Observation:
        raise error

    return read


@define
class Examined:
    """Has the checks that a test gives it. ``times``: how often it was begun."""

    checks: Sequence[Check]
    times: int = 0
    under_way: asyncio.Event = field(factory=asyncio.Event)
    may_end: asyncio.Event = field(factory=asyncio.Event)

    @asynccontextmanager
    async def begun(self) -> AsyncIterator[Sequence[Check]]:
        self.times += 1
        self.under_way.set()
        await self.may_end.wait()
        yield self.checks


async def examined(*reads: Callable[[], Awaitable[Observation]]) -> Diagnosis:
    store = Examined([Check(f"check {number}", read) for number, read in enumerate(reads)])
    store.may_end.set()
    return await Examine(store=store, redis=None, clock=VirtualClock())()


async def test_all_is_well() -> None:
    diagnosis = await examined(seen(), seen())
    assert diagnosis.severity is OK
    assert [(check.name, check.status) for check in diagnosis.checks] == [
        ("check 0", "ok"),
        ("check 1", "ok"),
        ("redis", "ok"),
    ]
    assert [finding.code for _, finding in diagnosis.findings] == ["redis_none"]


async def test_a_redis_is_examined_where_there_is_one() -> None:
    store, redis = Examined([Check("database", seen())]), Examined([Check("redis", seen(WARNING))])
    store.may_end.set()
    redis.may_end.set()
    diagnosis = await Examine(store=store, redis=redis, clock=VirtualClock())()
    assert [(check.name, check.status) for check in diagnosis.checks] == [
        ("database", "ok"),
        ("redis", "warning"),
    ]


async def test_the_worst_comes_first_and_says_how_it_is() -> None:
    diagnosis = await examined(seen(OK, WARNING), seen(CRITICAL, WARNING))
    assert diagnosis.severity is CRITICAL
    assert [(check, finding.severity) for check, finding in diagnosis.findings] == [
        ("check 1", CRITICAL),
        ("check 0", WARNING),
        ("check 1", WARNING),
        ("check 0", OK),
        ("redis", OK),
    ]
    assert [check.status for check in diagnosis.checks] == ["warning", "critical", "ok"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreUnavailable("no right"), "no right"),
        (ZeroDivisionError("of ours"), "it broke: ZeroDivisionError"),
        (TimeoutError(), "it took longer than 10 s"),
    ],
)
async def test_one_that_fails_is_not_done_and_the_others_are(error: Exception, reason: str) -> None:
    diagnosis = await examined(seen(), failing(error), seen(WARNING))
    assert [(check.status, check.not_done) for check in diagnosis.checks[:-1]] == [
        ("ok", None),
        ("not_done", reason),
        ("warning", None),
    ]


async def hang() -> Observation:
    await asyncio.Event().wait()
    raise AssertionError


async def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECK_PATIENCE", timedelta(0))
    diagnosis = await examined(hang)
    assert diagnosis.checks[0].not_done == "it took longer than 0 s"


async def test_all_of_them_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", timedelta(0))
    diagnosis = await examined(hang, hang)
    assert [check.not_done for check in diagnosis.checks[:-1]] == ["all checks took longer than 0 s"] * 2


async def test_a_store_that_takes_all_the_time_leaves_some_for_redis() -> None:
    store, redis = Examined([Check("database", seen())]), Examined([])
    examining = asyncio.create_task(Examine(store=store, redis=redis, clock=VirtualClock())())
    await redis.under_way.wait()
    assert not store.under_way.is_set()
    redis.may_end.set()
    store.may_end.set()
    assert [check.name for check in (await examining).checks] == ["database"]


async def test_what_could_not_be_seen_is_said_beside_what_was_found() -> None:
    diagnosis = await examined(seen(unseen="no right"), seen(WARNING, unseen="no right"))
    assert [(check.status, check.not_done) for check in diagnosis.checks[:-1]] == [
        ("not_done", "no right"),
        ("warning", "no right"),
    ]
    assert diagnosis.severity is WARNING


async def test_of_many_findings_alike_the_worst_are_told_and_how_many_more_there_are() -> None:
    diagnosis = await examined(seen(*[WARNING] * ALIKE_MAX), seen(*[WARNING] * ALIKE_MAX, CRITICAL))
    first, second, _ = diagnosis.checks
    assert [finding.found for finding in first.findings] == [
        f"warning {number}" for number in range(ALIKE_MAX)
    ]
    assert [finding.found for finding in second.findings] == [
        f"critical {ALIKE_MAX}", "warning 0", "warning 1", "warning 2", "warning 3 (and 1 more like it)",
    ]  # fmt: skip


async def test_who_asks_while_one_is_under_way_shares_the_next() -> None:
    store = Examined([])
    examine = Examine(store=store, redis=None, clock=VirtualClock())
    first = asyncio.create_task(examine())
    await store.under_way.wait()
    others = [asyncio.create_task(examine()) for _ in range(10)]
    await asyncio.sleep(0)  # so that all have asked
    store.may_end.set()
    diagnoses = await asyncio.gather(first, *others)
    assert store.times == 2
    assert len({id(diagnosis) for diagnosis in diagnoses[1:]}) == 1
    assert diagnoses[0] is not diagnoses[1]


async def test_who_asks_later_gets_a_new_one() -> None:
    store = Examined([])
    store.may_end.set()
    examine = Examine(store=store, redis=None, clock=VirtualClock())
    assert await examine() is not await examine()
    assert store.times == 2


async def test_one_that_was_given_up_holds_up_nobody() -> None:
    store = Examined([])
    examine = Examine(store=store, redis=None, clock=VirtualClock())
    first = asyncio.create_task(examine())
    await store.under_way.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    store.may_end.set()
    assert (await examine()).severity is OK
