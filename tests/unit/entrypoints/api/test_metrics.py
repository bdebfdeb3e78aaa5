import asyncio
import re
from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.ports.metrics import Counter, Histogram
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.routes import metrics as routes
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import DEAD, Api, Bench, declare_stale, submit

NAMES = {
    "jobs_created_total", "jobs_succeeded_total", "jobs_failed_total", "jobs_retried_total", "jobs_dead_total",
    "jobs_fenced_total", "job_duration_seconds", "job_queue_latency_seconds", "queue_length", "queue_dlq_length",
    "queue_enqueued_total", "workers_active", "workers_stale", "http_requests_total",
    "http_request_duration_seconds", "run_lock_conflicts_total", "worker_loss_suppressed_total",
}  # fmt: skip


async def samples(api: Api) -> dict[str, float]:
    """By name with labels, as they are written."""
    answer = await api.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("address", ["/metrics", "http://schedora.test/metrics"])
async def test_every_name_is_there_before_its_first_sample(api: Api, address: str) -> None:
    text = (await api.get(address)).text

    assert set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)) >= NAMES
    assert set(re.findall(r"^# HELP (\S+) ", text, re.MULTILINE)) >= NAMES
    assert list(text_string_to_metric_families(text))


async def test_what_was_just_counted_is_told(api: Api, bench: Bench) -> None:
    await submit(api, idempotency_key="a")
    await submit(api, idempotency_key="b", queue="mail")
    await bench.run(DEAD)

    told = await samples(api)

    assert told['jobs_created_total{job_type="work"}'] == 2
    assert told['queue_enqueued_total{queue_name="mail"}'] == 1
    assert told["jobs_fenced_total"] == 0
    assert told['queue_length{queue_name="default"}'] == 0
    assert told['queue_dlq_length{queue_name="default"}'] == 1
    assert told['queue_length{queue_name="mail"}'] == 1
    assert told["workers_active"] == 1


async def test_histograms_are_cumulative(api: Api, system: System) -> None:
    for seconds in (0.002, 0.002, 40, 1e6):
        system.metrics.observe(Histogram.JOB_DURATION, ("work", "SUCCESS"), [timedelta(seconds=seconds)])

    told = await samples(api)

    buckets = {
        le: value
        for name, value in told.items()
        if name.startswith("job_duration_seconds_bucket")
        for le in re.findall(r'le="([^"]+)"', name)
    }
    assert list(buckets.values()) == sorted(buckets.values())
    assert (buckets["0.001"], buckets["0.005"], buckets["60"]) == (0, 2, 3)
    assert buckets["+Inf"] == 4
    assert told['job_duration_seconds_count{job_type="work",status="SUCCESS"}'] == 4
    assert told['job_duration_seconds_sum{job_type="work",status="SUCCESS"}'] == pytest.approx(1_000_040.004)


async def test_counts_of_other_processes_are_told_as_well(api: Api, system: System) -> None:
    system.metrics.count(Counter.JOBS_FENCED, amount=2)
    await system.flush_metrics()
    system.metrics.count(Counter.JOBS_FENCED)

    assert (await samples(api))["jobs_fenced_total"] == 3


async def test_lost_workers_are_counted(api: Api, bench: Bench, system: System, clock: VirtualClock) -> None:
    await bench.claim()
    clock.advance(timedelta(seconds=91))
    await declare_stale(system)

    told = await samples(api)

    assert (told["workers_active"], told["workers_stale"]) == (0, 1)


async def test_answers_are_counted_by_the_template_of_their_address(api: Api) -> None:
    for text in ("x", "y"):
        await api.get(f"/jobs/{text}")
    await api.get("/nowhere")
    await api.request("BREW", "/jobs")

    told = await samples(api)

    assert told['http_requests_total{method="GET",route="/api/v1/jobs/{job_id}",status="422"}'] == 2
    assert told['http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert told['http_requests_total{method="OTHER",route="/api/v1/jobs",status="405"}'] == 1
    assert told['http_request_duration_seconds_count{method="GET",route="/api/v1/jobs/{job_id}"}'] == 2


async def test_without_the_store_a_process_tells_of_itself_alone(api: Api, faults: Faults) -> None:
    await submit(api)
    faults.away = True

    told = await samples(api)

    assert told['http_requests_total{method="POST",route="/api/v1/jobs",status="201"}'] == 1
    others = {name for name in told if not name.startswith("http_request")}
    assert all('process="' in name for name in others), "what is not known is not told as zero"


@pytest.mark.parametrize("asked", ["report_process", "flush_metrics", "queue_stats"])
async def test_a_store_that_says_nothing_is_not_waited_for(
    system: System, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    async def silence() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(routes, "PATIENCE_SECONDS", 0)
    silent: Any = {asked: silence}
    app = create_app(attrs.evolve(system, **silent))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://schedora.test/api/v1") as api:
        told = await asyncio.wait_for(samples(api), 30)
    assert all('process="' in name for name in told)


async def test_what_was_counted_while_the_store_was_away_is_not_lost(api: Api, faults: Faults) -> None:
    await submit(api)
    faults.away = True
    await samples(api)
    faults.away = False

    assert (await samples(api))['jobs_created_total{job_type="work"}'] == 1
