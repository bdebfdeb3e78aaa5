"""Brings what runs leave to the store."""

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from structlog.testing import capture_logs

from schedora.application.errors import StoreUnavailable
from schedora.application.pipeline import run_log_flusher
from schedora.application.pipeline.run_log_flusher import LiveRunLog, RunLogFlusher
from schedora.application.ports.metrics import Counter
from schedora.application.ports.run_logs import RunLogs
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JsonText
from schedora.domain.run_log import (
    LINE_LENGTH_MAX,
    LINES_LENGTH_MAX,
    LINES_MAX,
    SPANS_LENGTH_MAX,
    SPANS_MAX,
    RunLog,
)
from tests.builders import SECOND
from tests.unit.application.bench import Bench


def a_line(length: int) -> JsonText:
    return JsonText("x" * length)


async def a_running_job(bench: Bench) -> ClaimedJob:
    await bench.stores.submit_one()
    [claim] = await bench.stores.claim(await bench.stores.worker(), limit=1)
    return claim


@pytest.fixture
def keeper(bench: Bench) -> RunLogFlusher:
    return RunLogFlusher(run_logs=bench.stores.run_logs, clock=bench.clock, metrics=bench.metrics)


def a_live_run_log(job: ClaimedJob) -> tuple[LiveRunLog, list[LiveRunLog]]:
    told: list[LiveRunLog] = []
    return LiveRunLog(job, told.append), told


async def test_a_run_log_has_the_last_lines_and_the_first_spans(bench: Bench) -> None:
    run_log, told = a_live_run_log(await a_running_job(bench))
    for number in range(LINES_MAX + 3):
        run_log.add_line(JsonText(str(number)))
    for number in range(SPANS_MAX + 2):
        run_log.add_span(JsonText(str(number)))
    now = run_log.now()
    assert now.lines == tuple(str(number) for number in range(3, LINES_MAX + 3))
    assert now.lines_dropped == 3
    assert now.spans == tuple(str(number) for number in range(SPANS_MAX))
    assert now.spans_dropped == 2
    assert told == [run_log] * (LINES_MAX + 3 + SPANS_MAX + 2)


async def test_a_run_log_is_bounded_in_length(bench: Bench) -> None:
    run_log, _ = a_live_run_log(await a_running_job(bench))
    for _ in range(LINES_LENGTH_MAX // LINE_LENGTH_MAX + 1):
        run_log.add_line(a_line(LINE_LENGTH_MAX))
    run_log.add_line(a_line(LINE_LENGTH_MAX + 1))
    run_log.add_span(a_line(SPANS_LENGTH_MAX))
    run_log.add_span(a_line(1))
    now = run_log.now()
    assert len(now.lines) == LINES_LENGTH_MAX // LINE_LENGTH_MAX
    assert now.lines_dropped == 2
    assert (len(now.spans), now.spans_dropped) == (1, 1)
    assert run_log.length == LINES_LENGTH_MAX + SPANS_LENGTH_MAX


async def test_spans_are_bounded_in_length_together(bench: Bench) -> None:
    run_log, _ = a_live_run_log(await a_running_job(bench))
    for _ in range(3):
        run_log.add_span(a_line(SPANS_LENGTH_MAX // 2))
    assert (len(run_log.now().spans), run_log.now().spans_dropped) == (2, 1)


async def test_a_run_log_says_whose_it_is(bench: Bench) -> None:
    job = await a_running_job(bench)
    run_log, _ = a_live_run_log(job)
    assert run_log.now() == RunLog(
        job_id=job.job_id, lease_token=job.lease_token, attempt=1, worker_id=job.worker_id
    )


async def test_what_changed_is_written_once(bench: Bench, keeper: RunLogFlusher) -> None:
    job = await a_running_job(bench)
    run_log = LiveRunLog(job, keeper.note)
    run_log.add_line(JsonText("1"))
    run_log.add_line(JsonText("2"))
    assert len(keeper) == 1
    await keeper.flush()
    assert len(keeper) == 0
    assert await bench.stores.kept_run_logs(job.job_id) == (run_log.now(),)
    run_log.add_span(JsonText("3"))
    await keeper.flush()
    assert await bench.stores.kept_run_logs(job.job_id) == (run_log.now(),)


async def test_nothing_is_lost_while_the_store_is_away(bench: Bench, keeper: RunLogFlusher) -> None:
    job = await a_running_job(bench)
    run_log = LiveRunLog(job, keeper.note)
    run_log.add_line(JsonText("1"))
    bench.faults.away = True
    with pytest.raises(StoreUnavailable):
        await keeper.flush()
    run_log.add_line(JsonText("2"))
    bench.faults.away = False
    await keeper.flush()
    assert await bench.stores.kept_run_logs(job.job_id) == (run_log.now(),)


async def test_what_waits_is_bounded(
    bench: Bench, keeper: RunLogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    first, second, third = [LiveRunLog(await a_running_job(bench), keeper.note) for _ in range(3)]
    first.add_line(a_line(6))
    second.add_line(a_line(5))
    first.add_line(a_line(2))
    third.add_line(a_line(2))
    first.add_line(a_line(9))
    assert len(keeper) == 2
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 1}
    await keeper.flush()
    second.add_line(a_line(1))
    assert len(keeper) == 1


async def test_what_waits_is_measured_as_it_stands(
    bench: Bench, keeper: RunLogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    grows, other = [LiveRunLog(await a_running_job(bench), keeper.note) for _ in range(2)]
    grows.add_line(a_line(4))
    grows.add_line(a_line(4))  # 8 wait, and not 12
    other.add_line(a_line(2))
    assert len(keeper) == 2
    assert not bench.metrics.counted
    third = LiveRunLog(await a_running_job(bench), keeper.note)
    third.add_line(a_line(1))
    assert len(keeper) == 2
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 1}


async def test_what_was_written_makes_room(
    bench: Bench, keeper: RunLogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    monkeypatch.setattr(run_log_flusher, "BATCH_MAX", 1)
    for _ in range(2):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(5))
    await keeper.flush()
    LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(10))
    assert len(keeper) == 1
    LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(1))
    assert len(keeper) == 1


async def test_a_run_log_that_grows_beyond_what_may_wait_keeps_its_place(
    bench: Bench, keeper: RunLogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    run_log = LiveRunLog(await a_running_job(bench), keeper.note)
    run_log.add_line(a_line(6))
    run_log.add_line(a_line(6))
    assert len(keeper) == 1
    assert not bench.metrics.counted


async def test_it_writes_every_second_and_at_the_end(bench: Bench, keeper: RunLogFlusher) -> None:
    job = await a_running_job(bench)
    run_log = LiveRunLog(job, keeper.note)
    running = asyncio.create_task(keeper.run())
    await asyncio.sleep(0)
    run_log.add_line(JsonText("1"))
    bench.clock.advance(SECOND)
    while len(keeper):
        await asyncio.sleep(0)
    assert len(await bench.stores.kept_run_logs(job.job_id)) == 1
    run_log.add_line(JsonText("2"))
    keeper.stop()
    await running
    assert await bench.stores.kept_run_logs(job.job_id) == (run_log.now(),)


async def test_what_can_not_be_written_is_lost_and_the_rest_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Choosy:
        def __init__(self) -> None:
            self.kept: list[RunLog] = []

        async def keep(self, run_logs: Sequence[RunLog]) -> None:
            if any("bad" in run_log.lines for run_log in run_logs):
                raise ValueError("not this one")
            self.kept += run_logs

    monkeypatch.setattr(run_log_flusher, "BATCH_MAX", 1)
    choosy = Choosy()
    keeper = RunLogFlusher(run_logs=cast("RunLogs", choosy), clock=bench.clock, metrics=bench.metrics)
    bad, good = [LiveRunLog(await a_running_job(bench), keeper.note) for _ in range(2)]
    bad.add_line(JsonText("bad"))
    good.add_line(JsonText("good"))
    with capture_logs() as lines:
        await keeper.flush()
    assert choosy.kept == [good.now()]
    assert lines == [{"event": "run logs lost", "log_level": "error", "exc_info": True, "run_logs": 1}]
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 1}
    assert len(keeper) == 0


async def test_all_of_a_batch_that_can_not_be_written_are_counted(bench: Bench) -> None:
    class Defective:
        async def keep(self, run_logs: Sequence[RunLog]) -> None:
            raise ValueError("never")

    keeper = RunLogFlusher(run_logs=cast("RunLogs", Defective()), clock=bench.clock, metrics=bench.metrics)
    for _ in range(3):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(JsonText("1"))
    await keeper.flush()
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 3}


async def test_while_the_store_is_away_it_goes_on_and_tells_who_asks_for_detail(
    bench: Bench, keeper: RunLogFlusher
) -> None:
    job = await a_running_job(bench)
    run_log = LiveRunLog(job, keeper.note)
    running = asyncio.create_task(keeper.run())
    run_log.add_line(JsonText("1"))
    await asyncio.sleep(0)
    bench.faults.away = True
    with capture_logs() as lines:
        bench.clock.advance(SECOND)
        while not lines:
            await asyncio.sleep(0)
    [line] = lines
    assert (line["event"], line["log_level"], line["run_logs"]) == ("run logs kept for later", "debug", 1)
    assert line["reason"] == "the memory store fails on demand: run_logs.keep"
    bench.faults.away = False
    keeper.stop()
    await running
    assert await bench.stores.kept_run_logs(job.job_id) == (run_log.now(),)


async def test_one_statement_carries_so_much_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    class Counting:
        async def keep(self, run_logs: Sequence[RunLog]) -> None:
            batches.append(len(run_logs))

    monkeypatch.setattr(run_log_flusher, "BATCH_LENGTH_MAX", 5)
    keeper = RunLogFlusher(run_logs=cast("RunLogs", Counting()), clock=bench.clock, metrics=bench.metrics)
    for _ in range(5):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(3))
    await keeper.flush()
    assert batches == [2, 2, 1]
    batches.clear()
    for length in (5, 1, 1):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(length))
    await keeper.flush()
    assert batches == [2, 1]


async def test_what_is_on_its_way_and_what_waits_behind_it_are_measured_apart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        async def keep(self, run_logs: Sequence[RunLog]) -> None:
            while newcomers:
                newcomers.pop().add_line(a_line(3))

    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    monkeypatch.setattr(run_log_flusher, "BATCH_MAX", 1)
    keeper = RunLogFlusher(run_logs=cast("RunLogs", Slow()), clock=bench.clock, metrics=bench.metrics)
    for length in (2, 8):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(length))
    newcomers = [LiveRunLog(await a_running_job(bench), keeper.note)]
    await keeper.flush()
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 1}, "8 waited, and 3 were too many"


async def test_what_was_given_up_leaves_room(
    bench: Bench, keeper: RunLogFlusher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_log_flusher, "LENGTH_MAX", 10)
    for _ in range(2):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(a_line(10))
        assert len(keeper) == 1
        keeper.give_up()


async def test_what_is_given_up_is_said_and_counted(bench: Bench, keeper: RunLogFlusher) -> None:
    for _ in range(2):
        LiveRunLog(await a_running_job(bench), keeper.note).add_line(JsonText("1"))
    with capture_logs() as lines:
        keeper.give_up()
        keeper.give_up()
    said = "the store did not take the last of these runs' logs and spans: lost"
    assert lines == [{"event": said, "log_level": "error", "run_logs": 2}]
    assert bench.metrics.counted == {(Counter.RUN_LOGS_DROPPED, ""): 2}
    assert len(keeper) == 0
