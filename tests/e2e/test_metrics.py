"""Metrics of processes that answer nobody, told by any API."""

import re
import signal
from pathlib import Path

from tests.e2e.conftest import Api, Cluster, with_redis_and_at_night_without
from tests.programs import until


def told(api: Api) -> dict[str, float]:
    """Each sample by its name and labels as they stand in the text."""
    lines = api.http.get("/metrics").text.splitlines()
    return {
        sample: float(value)
        for sample, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }


def of(kind: str, name: str) -> str:
    return f'{{kind="{kind}",process="{name}"}}'


def of_each(metrics: dict[str, float], name: str) -> list[float]:
    return [value for sample, value in metrics.items() if sample.startswith(f"{name}{{")]


@with_redis_and_at_night_without
def test_every_api_tells_of_every_process(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    another = cluster.api(cluster.start("api", "--port", "0"))
    cluster.start("reaper")
    worker = cluster.worker("w1", "--concurrency", "3")
    api.submit("first_hangs", {"directory": str(tmp_path)})
    until((tmp_path / "began-1").exists, "the job to run")
    redis = [1.0] * 4 if "REDIS_URL" in cluster.environment else []

    def all_told(one: Api) -> bool:
        metrics = told(one)
        kinds = {
            re.findall(r'kind="(\w+)"', sample)[0]: value
            for sample, value in metrics.items()
            if sample.startswith("processes{")
        }
        return (
            kinds == {"api": 2, "worker": 1, "reaper": 1}
            and metrics.get(f"worker_slots{of('worker', 'w1')}") == 3
            and metrics.get(f"worker_slots_used{of('worker', 'w1')}") == 1
            and len(of_each(metrics, "reaper_last_round_timestamp_seconds")) == 1
            and len(of_each(metrics, "event_loop_lag_seconds")) == 4
            and of_each(metrics, "redis_up") == redis
        )

    until(lambda: all_told(api) and all_told(another), "each process to be told of by each API")

    worker.send(signal.SIGTERM)
    until(
        lambda: not any('process="w1"' in name for name in told(api)),
        "the worker that has ended to be told of no more",
    )
    until(
        lambda: told(api)['jobs_released_total{job_type="first_hangs"}'] == 1,
        "what it gave back to be counted",
    )


def test_what_was_counted_outlives_the_process_that_counted_it(cluster: Cluster, api: Api) -> None:
    worker = cluster.worker("w1")
    for n in range(3):
        api.ended(api.submit("echo", {"n": n}))
    succeeded = 'jobs_succeeded_total{job_type="echo"}'
    until(lambda: told(api).get(succeeded) == 3, "the successes to be counted")

    worker.send(signal.SIGKILL)
    cluster.worker("w2")
    api.ended(api.submit("echo", {"n": 4}))

    until(lambda: told(api)[succeeded] == 4, "the counts of both")
