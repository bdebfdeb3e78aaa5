"""The reaper."""

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta

import attrs
import pytest
from structlog.testing import capture_logs

from schedora.adapters.memory.heartbeats import MemoryHeartbeats
from schedora.adapters.memory.records import MemoryRecords
from schedora.adapters.telemetry.gauges import RegisteredGauges
from schedora.application.errors import StoreUnavailable
from schedora.application.maintenance import prune
from schedora.application.maintenance.reaper import (
    BUCKETS_MAX,
    LONGEST_INTERVAL,
    REQUEST_BATCHES_MAX,
    RUN_LOGS_MAX,
    Reaper,
)
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.metrics import Counter, Gauge, Histogram
from schedora.application.ports.records import Pruned, Records
from schedora.application.ports.request_spans import Asked
from schedora.application.ports.shared_counters import Series
from schedora.domain.ids import IncarnationId
from schedora.domain.job_state import JobState
from schedora.domain.limits import RateLimit, Take, TokenRequest
from schedora.domain.retention import Retention
from schedora.domain.worker import SUPPRESSED_TIMEOUTS_MAX, WorkerState, watch_gap_max
from schedora.domain.worker_death import WorkerDeath
from tests.builders import HOUR, SECOND, a_request
from tests.contract.test_process_reports import an_identity
from tests.contract.test_request_spans import a_request_served
from tests.unit.application.bench import HEARTBEAT_TIMEOUT, Bench

TIMEOUT = HEARTBEAT_TIMEOUT
NO_TIME = timedelta(0)


def a_reaper(
    bench: Bench,
    heartbeat_timeout: timedelta = TIMEOUT,
    *,
    records: Records | None = None,
    heard_elsewhere: bool = True,
    gauges: RegisteredGauges | None = None,
) -> Reaper:
    return Reaper(
        workers=bench.stores.workers,
        events=bench.stores.events,
        rescue=bench.rescue,
        prune=attrs.evolve(bench.prune, records=records or bench.stores.records),
        rate_limiter=bench.stores.rate_limiter,
        run_logs=bench.stores.run_logs,
        request_spans=bench.stores.request_spans,
        trace_retention=HOUR,
        heartbeats=bench.heartbeats if heard_elsewhere else None,
        metrics=bench.metrics,
        clock=bench.clock,
        randomness=bench.store.randomness,
        heartbeat_timeout=heartbeat_timeout,
        cleanup_after=HOUR,
        gauges=gauges,
        process_reports=bench.stores.process_reports,
    )


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def statuses(bench: Bench) -> list[WorkerState]:
    return [worker.status for worker in await bench.stores.workers.registered()]


async def test_silent_worker_is_declared_lost_and_its_jobs_given_back(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    silent, alive = await bench.stores.worker(), await bench.stores.worker()
    await bench.stores.claim(silent)
    reaper = a_reaper(bench)
    await bench.watched(TIMEOUT)
    await bench.stores.workers.beat(alive.incarnation, cpu_percent=None, memory_percent=None)
    assert await reaper.round() == 0
    await bench.watched(timedelta(microseconds=1))
    assert await reaper.round() == 1
    assert sorted(await statuses(bench)) == [WorkerState.ACTIVE, WorkerState.STALE]
    assert (await bench.stores.job(job.job_id)).status is JobState.RETRYING
    assert await reaper.round() == 0


async def test_long_job_of_a_living_worker_is_never_taken_for_lost(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    worker = await bench.stores.worker()
    await bench.stores.claim(worker)
    reaper = a_reaper(bench)
    for _ in range(100):
        bench.clock.advance(TIMEOUT)
        await bench.stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
        assert await reaper.round() == 0
    assert (await bench.stores.job(job.job_id)).status is JobState.RUNNING


async def test_outage_of_the_store_makes_no_worker_lost(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    alive, dead = await bench.stores.worker(), await bench.stores.worker()
    await bench.stores.claim(alive)
    await bench.watched(HOUR)
    for worker in (alive, dead):
        await bench.stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
    bench.clock.advance(timedelta(minutes=5))
    reaper = a_reaper(bench)
    with capture_logs() as logs:
        for _ in range(2):
            assert await reaper.round() == 0, "everybody looks silent to the first who is back"
    told = [entry for entry in logs if entry["event"].startswith("nobody was there to hear workers")]
    assert [(entry["silent"], entry["timeout_seconds"]) for entry in told] == [(2, 90)]
    await bench.stores.workers.beat(alive.incarnation, cpu_percent=None, memory_percent=None)
    await bench.watched(TIMEOUT)
    assert await reaper.round() == 0
    assert await statuses(bench) == [WorkerState.ACTIVE] * 2
    await bench.stores.workers.beat(alive.incarnation, cpu_percent=None, memory_percent=None)
    await bench.watched(SECOND)
    await reaper.round()
    states = {worker.incarnation: worker.status for worker in await bench.stores.workers.registered()}
    assert states == {alive.incarnation: WorkerState.ACTIVE, dead.incarnation: WorkerState.STALE}
    assert (await bench.stores.job(job.job_id)).status is JobState.RUNNING


@pytest.mark.parametrize("question", ["watch", "silent"])
async def test_store_that_stands_still_in_the_middle_of_a_round_makes_no_worker_lost(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    await bench.watched(HOUR)
    await bench.stores.worker()
    ask = getattr(bench.stores.workers, question)

    async def asked(span: timedelta) -> object:
        bench.clock.advance(TIMEOUT * 2)
        return await ask(span)

    monkeypatch.setattr(bench.stores.workers, question, asked)
    await a_reaper(bench).round()
    assert await statuses(bench) == [WorkerState.ACTIVE]


async def test_reaper_that_starts_beside_others_need_not_wait(bench: Bench) -> None:
    await bench.stores.worker()
    await bench.watched(TIMEOUT + SECOND)
    await a_reaper(bench).round()
    assert await statuses(bench) == [WorkerState.STALE]


async def test_full_buckets_are_forgotten(bench: Bench) -> None:
    limit = RateLimit(tokens=1, per=HOUR, burst=1)
    await bench.stores.rate_limiter.take([TokenRequest((Take(bucket="b", limit=limit),))])
    bench.clock.advance(2 * HOUR)
    await a_reaper(bench).round()
    with bench.store.committed() as tables:
        assert not tables.buckets


async def test_what_it_does_is_counted(bench: Bench) -> None:
    await bench.stores.submit(a_request(), a_request())
    await bench.stores.claim(await bench.stores.worker())
    await bench.stores.worker()
    await bench.watched(TIMEOUT + SECOND)
    await a_reaper(bench).round()
    await a_reaper(bench).round()
    assert bench.metrics.counted[Counter.WORKERS_LOST, ""] == 2
    assert bench.metrics.counted[Counter.JOBS_RESCUED, ""] == 2


async def test_its_rounds_are_timed_and_the_last_that_succeeded_is_known(bench: Bench) -> None:
    gauges = RegisteredGauges()
    reaper = a_reaper(bench, gauges=gauges)
    assert gauges.read() == {}
    bench.faults.away = True
    running = asyncio.create_task(reaper.run())
    await settle()
    assert gauges.read() == {}
    bench.faults.away = False
    bench.clock.advance(LONGEST_INTERVAL)
    await settle()
    assert gauges.read() == {Series("reaper_last_round_timestamp_seconds", ()): bench.clock.now().timestamp()}
    reaper.stop()
    await running
    rounds = [
        (labels, spans)
        for histogram, labels, spans in bench.metrics.observed
        if histogram is Histogram.REAPER_ROUND
    ]
    assert rounds == [(("failed",), NO_TIME), (("success",), NO_TIME)]


async def test_before_its_first_round_it_has_had_none(bench: Bench) -> None:
    readings: list[Callable[[], float | None]] = []

    class Recorded(RegisteredGauges):
        def register(
            self, gauge: Gauge, read: Callable[[], float | None], labels: tuple[str, ...] = ()
        ) -> None:
            assert gauge is Gauge.REAPER_LAST_ROUND
            readings.append(read)

    a_reaper(bench, gauges=Recorded())
    assert [read() for read in readings] == [None]


async def test_processes_that_did_not_say_good_bye_are_forgotten(bench: Bench) -> None:
    reports = bench.stores.process_reports
    await reports.put(an_identity(), clock_at=bench.clock.now(), gauges={})
    await a_reaper(bench).round()
    assert await reports.fresh(2 * HOUR)
    bench.clock.advance(HOUR + SECOND)
    await a_reaper(bench).round()
    assert not await reports.fresh(2 * HOUR)


async def test_silent_worker_that_is_heard_elsewhere_is_spared_and_told_of_once(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    worker = await bench.stores.worker()
    await bench.stores.claim(worker)
    reaper = a_reaper(bench)
    with capture_logs() as logs:
        for _ in range(3):
            await bench.watched(TIMEOUT + SECOND)
            await bench.heartbeats.beat(worker.incarnation)
            assert await reaper.round() == 0
    assert await statuses(bench) == [WorkerState.ACTIVE]
    assert (await bench.stores.job(job.job_id)).status is JobState.RUNNING
    assert logs == [
        {
            "event": "worker suppressed: it is silent in the store, and heard elsewhere",
            "log_level": "warning",
            "worker_id": "w1",
            "silent_seconds": 91.0,
        }
    ]
    assert bench.metrics.counted[Counter.WORKER_LOSS_SUPPRESSED, ""] == 1
    await bench.stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
    await reaper.round()
    await bench.watched(TIMEOUT + SECOND)
    await bench.heartbeats.beat(worker.incarnation)
    await reaper.round()
    assert bench.metrics.counted[Counter.WORKER_LOSS_SUPPRESSED, ""] == 2, "it has fallen silent again"


async def test_each_worker_that_is_spared_is_told_with_its_silence(bench: Bench) -> None:
    workers = [await bench.stores.worker(), await bench.stores.worker()]
    await bench.watched(TIMEOUT + 1.26 * SECOND)
    for worker in workers:
        await bench.heartbeats.beat(worker.incarnation)
    with capture_logs() as logs:
        await a_reaper(bench).round()
    assert [entry["silent_seconds"] for entry in logs] == [91.3, 91.3]
    assert bench.metrics.counted[Counter.WORKER_LOSS_SUPPRESSED, ""] == 2


async def test_worker_that_falls_silent_elsewhere_too_is_lost(bench: Bench) -> None:
    worker = await bench.stores.worker()
    reaper = a_reaper(bench)
    await bench.watched(TIMEOUT)
    await bench.heartbeats.beat(worker.incarnation)
    await bench.watched(TIMEOUT - SECOND)
    await reaper.round()
    assert await statuses(bench) == [WorkerState.ACTIVE]
    await bench.watched(SECOND)
    await reaper.round()
    assert await statuses(bench) == [WorkerState.STALE]


async def test_worker_is_not_spared_for_ever(bench: Bench) -> None:
    worker = await bench.stores.worker()
    reaper = a_reaper(bench)
    await bench.watched(SUPPRESSED_TIMEOUTS_MAX * TIMEOUT)
    await bench.heartbeats.beat(worker.incarnation)
    await reaper.round()
    assert await statuses(bench) == [WorkerState.ACTIVE]
    await bench.watched(SECOND)
    await reaper.round()
    assert await statuses(bench) == [WorkerState.STALE], "nobody else gets its jobs before"


@pytest.mark.parametrize("heard_elsewhere", [True, False])
async def test_what_is_not_heard_elsewhere_proves_nothing(bench: Bench, heard_elsewhere: bool) -> None:
    worker = await bench.stores.worker()
    await bench.watched(TIMEOUT)
    await bench.heartbeats.forget(worker.incarnation)
    await a_reaper(bench, heard_elsewhere=heard_elsewhere).round()
    assert await statuses(bench) == [WorkerState.ACTIVE], "its row is fresh"


async def test_without_signs_elsewhere_the_row_decides(bench: Bench) -> None:
    worker = await bench.stores.worker()
    await bench.watched(TIMEOUT + SECOND)
    await bench.heartbeats.beat(worker.incarnation)
    bench.faults.signs_lost = True
    await a_reaper(bench).round()
    assert await statuses(bench) == [WorkerState.STALE]


async def test_worker_that_beats_while_it_is_given_up_is_kept(bench: Bench) -> None:
    worker = await bench.stores.worker()

    class Slow(MemoryHeartbeats):
        async def alive(self, incarnations: Collection[IncarnationId]) -> frozenset[IncarnationId]:
            await bench.stores.workers.beat(worker.incarnation, cpu_percent=None, memory_percent=None)
            return await super().alive(incarnations)

    bench = attrs.evolve(bench, heartbeats=Slow(bench.store, lifetime=TIMEOUT))
    await bench.watched(TIMEOUT + SECOND)
    await a_reaper(bench).round()
    assert await statuses(bench) == [WorkerState.ACTIVE]


async def test_two_reapers_give_one_worker_up_once(bench: Bench) -> None:
    await bench.stores.submit(*(a_request() for _ in range(3)))
    silent, suppressed = await bench.stores.worker(), await bench.stores.worker()
    await bench.stores.claim(silent)
    await bench.watched(TIMEOUT + SECOND)
    await bench.heartbeats.beat(suppressed.incarnation)
    with capture_logs() as logs:
        rescued = await asyncio.gather(*(a_reaper(bench).round() for _ in range(2)))
    assert sum(rescued) == 3
    assert sorted(await statuses(bench)) == [WorkerState.ACTIVE, WorkerState.STALE]
    [told] = [entry for entry in logs if entry["event"] == "worker declared lost"]
    assert (told["worker_id"], told["last_heartbeat"]) == ("w1", silent.last_heartbeat.isoformat())
    assert "death" not in told


async def test_worker_long_gone_is_forgotten(bench: Bench) -> None:
    worker = await bench.stores.worker()
    await bench.stores.workers.set_status([worker.incarnation], WorkerState.STOPPED)
    reaper = a_reaper(bench)
    bench.clock.advance(HOUR)
    await reaper.round()
    assert len(await statuses(bench)) == 1
    bench.clock.advance(SECOND)
    with capture_logs() as logs:
        await reaper.round()
        await reaper.round()
    assert await statuses(bench) == []
    assert logs == [{"event": "forgot workers long gone", "log_level": "info", "workers": 1}]


class Bounded:
    """Something that is pruned, and notes how much of it at once."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    async def prune(self, *_kept: object, limit: int, **_bounds: int) -> int:
        self.limits.append(limit)
        return 0


async def test_a_round_looks_at_a_bounded_number_of_what_is_forgotten(bench: Bench) -> None:
    reaper = a_reaper(bench)
    for name, limit in (
        ("_rate_limiter", BUCKETS_MAX), ("_run_logs", RUN_LOGS_MAX), ("_request_spans", REQUEST_BATCHES_MAX),
    ):  # fmt: skip
        bounded = Bounded()
        setattr(reaper, name, bounded)
        await reaper.round()
        assert bounded.limits == [limit]


async def test_where_nothing_is_heard_elsewhere_a_silent_worker_is_lost(bench: Bench) -> None:
    await bench.stores.worker()
    await bench.watched(TIMEOUT + SECOND)
    await a_reaper(bench, heard_elsewhere=False).round()
    assert await statuses(bench) == [WorkerState.STALE]


async def test_where_nobody_is_silent_it_does_not_matter_who_was_there_to_hear(bench: Bench) -> None:
    await bench.stores.worker()
    with capture_logs() as logs:
        await a_reaper(bench).round()
    assert logs == []


def rounds_of(reaper: Reaper, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """The moments at which its rounds begin."""
    moments: list[timedelta] = []
    one_round = reaper.round

    async def noted() -> int:
        moments.append(bench.clock.monotonic())
        return await one_round()

    monkeypatch.setattr(reaper, "round", noted)
    return moments


async def until_round(bench: Bench, moments: list[timedelta]) -> timedelta:
    """Moves on to the next round; how long it took to come."""
    seen, before = len(moments), bench.clock.monotonic()
    while len(moments) == seen:
        assert bench.clock.advance_to_next_wait()
        await settle()
    return moments[-1] - before


async def test_rounds_come_at_intervals_until_it_is_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper = a_reaper(bench)
    moments = rounds_of(reaper, bench, monkeypatch)
    task = asyncio.create_task(reaper.run())
    await settle()
    await bench.stores.worker()
    pauses = [await until_round(bench, moments) for _ in range(20)]
    assert all(0.8 * LONGEST_INTERVAL <= pause <= 1.2 * LONGEST_INTERVAL for pause in pauses)
    assert len(set(pauses)) > 10, "spread, so that several reapers do not meet"
    assert await statuses(bench) == [WorkerState.STALE]
    reaper.stop()
    await task
    assert bench.clock.sleepers == 0


async def test_silence_counts_however_slow_the_store_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single statement of a round takes longer than the longest gap."""
    timeout = 6 * SECOND
    prune = bench.stores.run_logs.prune

    async def slow(*, limit: int) -> int:
        await bench.clock.sleep(watch_gap_max(timeout) * 2)
        return await prune(limit=limit)

    monkeypatch.setattr(bench.stores.run_logs, "prune", slow)
    await bench.stores.worker()
    reaper = a_reaper(bench, timeout)
    running = asyncio.create_task(reaper.run())
    ends_at = bench.clock.monotonic() + timeout * 3
    while await statuses(bench) == [WorkerState.ACTIVE]:
        assert bench.clock.monotonic() < ends_at, "silence does not count"
        await settle()
        bench.clock.advance_to_next_wait()
    reaper.stop()
    while not running.done():
        await settle()
        bench.clock.advance_to_next_wait()
    await running
    assert bench.clock.sleepers == 0


async def test_watching_goes_on_when_the_store_was_away(bench: Bench) -> None:
    await bench.stores.worker()
    reaper = a_reaper(bench, 6 * SECOND)
    running = asyncio.create_task(reaper.run())
    for away in (True, False):
        bench.faults.away = away
        for _ in range(20):
            await settle()
            assert not running.done()
            bench.clock.advance_to_next_wait()
    assert await statuses(bench) == [WorkerState.STALE]
    reaper.stop()
    await running
    assert bench.clock.sleepers == 0


async def test_short_timeout_is_looked_after_more_often(bench: Bench) -> None:
    reaper = a_reaper(bench, 6 * SECOND)
    task = asyncio.create_task(reaper.run())
    await settle()
    assert bench.clock.next_wait is not None
    assert bench.clock.next_wait - bench.clock.now() <= 1.2 * SECOND
    reaper.stop()
    await task


async def test_store_that_is_away_is_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.stores.submit(a_request())
    await bench.claim()
    bench.faults.away = True
    reaper = a_reaper(bench)
    moments = rounds_of(reaper, bench, monkeypatch)
    task = asyncio.create_task(reaper.run())
    await settle()
    pauses = [await until_round(bench, moments) for _ in range(12)]
    assert pauses[0] <= 0.5 * SECOND
    assert LONGEST_INTERVAL / 2 <= pauses[-1] <= LONGEST_INTERVAL
    bench.faults.away = False
    back = bench.clock.monotonic()
    while await statuses(bench) == [WorkerState.ACTIVE]:
        bench.clock.advance_to_next_wait()
        await settle()
    assert await statuses(bench) == [WorkerState.STALE]
    assert bench.clock.monotonic() - back > TIMEOUT, "it had time to be heard"
    bench.faults.away = True
    await until_round(bench, moments)
    assert await until_round(bench, moments) <= 0.5 * SECOND, "patience begins anew"
    reaper.stop()
    await task


async def test_it_says_once_that_the_store_went_and_once_that_it_is_back(bench: Bench) -> None:
    reaper = a_reaper(bench)

    async def rounds(*, away: bool) -> None:
        bench.faults.away = away
        for _ in range(3):
            await settle()
            bench.clock.advance_to_next_wait()

    with capture_logs() as logs:
        task = asyncio.create_task(reaper.run())
        await rounds(away=False)
        await rounds(away=True)
        await rounds(away=False)
        await rounds(away=True)
        reaper.stop()
        await task
    away = {
        "event": "the store is away",
        "log_level": "warning",
        "error": "the memory store fails on demand: workers.silent",
    }
    assert logs == [away, {"event": "the store is back", "log_level": "info"}, away]


async def test_round_tells_that_the_store_is_away(bench: Bench) -> None:
    await bench.stores.worker()
    await bench.watched(2 * TIMEOUT)
    for step in ("workers.watch", "workers.silent", "workers.declare_stale"):
        bench.faults.fail(step)
        with pytest.raises(StoreUnavailable):
            await a_reaper(bench).round()


async def test_round_removes_records_kept_for_long_enough(bench: Bench) -> None:
    job = await bench.stores.submit_one()
    await bench.stores.cancel(job.job_id)
    bench.clock.advance(2 * HOUR)
    await a_reaper(bench).round()
    assert await bench.stores.job_reader.get(job.job_id) is not None
    bench.clock.advance(SECOND)
    await a_reaper(bench).round()
    assert await bench.stores.job_reader.get(job.job_id) is None


async def test_reaper_that_is_behind_goes_on_without_a_pause(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH_MAX", 1)
    monkeypatch.setattr(prune, "ROUND_MAX", timedelta(microseconds=1))
    for job in await bench.stores.submit(*(a_request() for _ in range(3))):
        await bench.stores.cancel(job.job_id)
    bench.clock.advance(3 * HOUR)

    class Slow(MemoryRecords):
        async def prune_jobs(self, retention: Retention, *, limit: int) -> Pruned:
            bench.clock.advance(timedelta(microseconds=1))
            return await super().prune_jobs(retention, limit=limit)

    reaper = a_reaper(bench, records=Slow(bench.store))
    began = bench.clock.monotonic()
    task = asyncio.create_task(reaper.run())
    for _ in range(20):
        await settle()
        if not (await bench.stores.job_reader.page(JobFilter(), limit=1, after=None)).jobs:
            break
        bench.clock.advance_to_next_wait()
    assert 0 * SECOND < bench.clock.monotonic() - began < SECOND
    await settle()
    bench.clock.advance_to_next_wait()
    await settle()
    assert bench.clock.next_wait is not None
    assert bench.clock.next_wait - bench.clock.now() >= 0.8 * LONGEST_INTERVAL, "nothing is left to do"
    reaper.stop()
    await task


async def test_spans_of_requests_are_kept_for_a_while(bench: Bench) -> None:
    served = a_request_served()
    await bench.stores.request_spans.keep([served])
    asked = [Asked(served.trace.span_id, bench.clock.now())]
    reaper = a_reaper(bench)
    bench.clock.advance(HOUR)
    await reaper.round()
    assert await bench.stores.request_spans.find(asked) == [served]
    bench.clock.advance(SECOND)
    await reaper.round()
    assert await bench.stores.request_spans.find(asked) == []


async def test_a_worker_that_was_seen_to_die_is_lost_at_once_and_its_jobs_say_how(
    bench: Bench,
) -> None:
    job = await bench.stores.submit_one()
    worker = await bench.stores.worker()
    await bench.stores.claim(worker)
    await bench.heartbeats.beat(worker.incarnation)
    await bench.stores.workers.note_death(
        worker.incarnation,
        WorkerDeath(how="was ended by SIGKILL", stack="where it was", lines={job.job_id: ("said last",)}),
    )
    with capture_logs() as logs:
        assert await a_reaper(bench).round() == 1
    [told] = [entry for entry in logs if entry["event"] == "worker declared lost"]
    assert told["death"] == "was ended by SIGKILL"
    [error] = (await bench.stores.job(job.job_id)).errors
    assert (error.kind, error.message) == ("worker_lost", "worker w1 was ended by SIGKILL")
    assert error.traceback == "where it was\n\nThe last lines of its log:\nsaid last"
    assert await statuses(bench) == [WorkerState.STALE]
