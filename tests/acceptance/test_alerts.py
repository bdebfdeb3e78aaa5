"""Each alert rule, evaluated over hours that a test makes up: it fires in the incident that it names, and alone; in normal
operation none does. That the series exist which rules name is held in ``test_watching.py``.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import promql_parser
import pytest

from tests.acceptance.promql import Curve, Rule, Samples
from tests.docs.pages import read_yaml

MINUTE, HOUR = 60.0, 3600.0
BEGIN = 30 * MINUTE
"""When something happens."""
END = 110 * MINUTE

INSTANCES = ("api-1", "api-2")
OWN = ("up", "http_requests_total", "database_connections")
"""What each API tells of itself, with the database or without; the others tell the same."""


def lasting(text: str) -> timedelta:
    return timedelta(0) if text == "0m" else promql_parser.parse_duration(text)


RULES = [
    Rule(rule["alert"], rule["expr"], lasting(rule["for"]))
    for group in read_yaml((Path(__file__).parents[2] / "ops" / "prometheus" / "alerts.yml").read_text())[
        "groups"
    ]
    for rule in group["rules"]
]


def always(value: float) -> Curve:
    return lambda _: value


def rising(a_second: float, *, begin: float = 0) -> Curve:
    """A counter: it may have come a long way before."""
    return lambda at: 1000 + max(0.0, at - begin) // 1 * a_second


def risen(*moments: float) -> Curve:
    """A counter that grows by one at each of these."""
    return lambda at: sum(at >= moment for moment in moments)


def during(begin: float, end: float, then: Curve, otherwise: Curve) -> Curve:
    return lambda at: then(at) if begin <= at < end else otherwise(at)


def absent(_: float) -> None:
    return None


def from_begin(then: float, before: float = 0) -> Curve:
    return during(BEGIN, END + 1, always(then), always(before))


def day_and_night(a_second: float) -> Curve:
    """Grows for an hour, and then stands still."""
    return lambda at: 1000 + min(at, HOUR) * a_second


def histogram(
    name: str, labels: str, fast: Curve, slow: Curve, bounds: tuple[str, str, str]
) -> dict[str, Curve]:
    """``fast`` within the first bound, ``slow`` between the second and the third."""
    counts = [fast, fast, *[lambda at: (fast(at) or 0) + (slow(at) or 0)] * 2]
    return {
        f'{name}_bucket{{{labels}le="{bound}"}}': count
        for bound, count in zip((*bounds, "+Inf"), counts, strict=True)
    }


def latency(slow: Curve) -> dict[str, Curve]:
    return histogram(
        "job_queue_latency_seconds", 'queue="mail",', day_and_night(5), slow, ("0.01", "60.0", "300.0")
    )


def batches(slow: Curve) -> dict[str, Curve]:
    return histogram("batch_sync_duration_seconds", "", day_and_night(2), slow, ("0.005", "1.0", "5.0"))


JOBS_ANSWERED = 'http_requests_total{method="POST",route="/api/v1/jobs",status="%d"}'

WELL: Mapping[str, Curve] = {
    'up{job="schedora"}': always(1),
    'schedora_info{version="2"}': always(1),
    "workers_active": always(2),
    'reaper_last_round_timestamp_seconds{kind="reaper",process="r1"}': lambda at: at - at % 10,
    "workers_lost_total": always(3),
    'last_progress_seconds{kind="worker",process="w1"}': lambda at: at % 30,
    'last_progress_seconds{kind="worker",process="w2"}': lambda at: (at + 7) % 30,
    'queue_oldest_ready_seconds{queue_name="mail"}': lambda at: at % 20,
    'queue_oldest_ready_seconds{queue_name="other"}': always(0),
    'queue_paused{queue_name="mail"}': always(0),
    'queue_paused{queue_name="other"}': always(0),
    **latency(always(0)),
    "unhandled_types": always(0),
    'jobs_succeeded_total{job_type="send"}': day_and_night(5),
    'jobs_failed_total{job_type="send"}': day_and_night(0.1),
    'jobs_dead_total{job_type="send"}': always(7),
    'jobs_timed_out_total{job_type="send"}': always(2),
    'jobs_poisoned_total{job_type="send"}': always(0),
    "jobs_fenced_total": always(1),
    'worker_slots{kind="worker",process="w1"}': always(10),
    'worker_slots{kind="worker",process="w2"}': always(10),
    'worker_slots_used{kind="worker",process="w1"}': lambda at: at % 11,
    'worker_slots_used{kind="worker",process="w2"}': always(10),
    'stuck_threads{kind="worker",process="w1"}': always(0),
    **batches(always(0)),
    'database_connections_waiting{kind="worker",pool="shared",process="w1"}': lambda at: at // 15 % 2,
    'database_connections_max{kind="worker",pool="shared",process="w1"}': always(10),
    'database_connections{kind="worker",pool="shared",process="w1",state="idle"}': always(3),
    'database_connections{kind="worker",pool="shared",process="w1",state="in_use"}': always(7),
    'event_loop_lag_seconds{kind="worker",process="w1"}': always(0.05),
    "wakeups_missed_total": lambda at: at // 600,
    'redis_up{kind="worker",process="w1"}': always(1),
    'redis_up{kind="api",process="a1"}': always(1),
    "events_dropped_total": always(0),
    "trace_spans_lost_total": always(0),
    JOBS_ANSWERED % 201: day_and_night(5),
    'http_requests_total{method="GET",route="/metrics",status="200"}': rising(1 / 15),
    'processes{kind="worker",version="1"}': absent,
    'processes{kind="worker",version="2"}': always(2),
}


def scraped(
    changes: Mapping[str, Curve], *, down: Mapping[str, Curve] | None = None, stored: Curve | None = None
) -> list[Samples]:
    """What Prometheus has of two APIs. ``down`` is 1 while one of them does not answer, ``stored`` 0 while they tell of
    nothing that is.
    """
    samples = []
    for instance in INSTANCES:
        away = (down or {}).get(instance, always(0))
        for series, curve in {**WELL, **changes}.items():
            selector = promql_parser.parse(series)
            assert isinstance(selector, promql_parser.VectorSelector)
            labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            name = selector.name
            assert name is not None
            own = name.startswith(OWN)

            def told(
                at: float, *, name: str = name, own: bool = own, curve: Curve = curve, away: Curve = away
            ) -> float | None:
                if away(at):
                    return 0 if name == "up" else None
                return None if stored is not None and not own and not stored(at) else curve(at)

            samples.append(
                Samples.of(name, frozenset({**labels, "instance": instance}.items()), told, end=END)
            )
    return samples


def fired(samples: list[Samples]) -> dict[str, list[float]]:
    """The alerts, and when they fire."""
    found = {rule.name: [at for at, _ in rule.firing(samples, END)] for rule in RULES}
    return {name: moments for name, moments in found.items() if moments}


def restarted(begin: float, seconds: float) -> Curve:
    return during(begin, begin + seconds, always(1), always(0))


NORMAL = {
    "the database fails over": scraped(
        {
            JOBS_ANSWERED % 503: lambda at: 20 * min(max(0, at - BEGIN), 45),
            **batches(lambda at: 5 * min(max(0, at - BEGIN), 120)),
        },
        stored=during(BEGIN, BEGIN + 45, always(0), always(1)),
    ),
    "what handlers call is away for two minutes": scraped(
        {'jobs_failed_total{job_type="send"}': lambda at: 1000 + 5 * min(max(0, at - BEGIN), 120)}
    ),
    "much is submitted at once": scraped(
        {
            'queue_oldest_ready_seconds{queue_name="mail"}': during(
                BEGIN, BEGIN + 240, lambda at: at - BEGIN, always(0)
            ),
            **latency(lambda at: 5 * min(max(0, at - BEGIN), 240)),
            'worker_slots_used{kind="worker",process="w1"}': always(10),
        }
    ),
    "a day and an idle night": scraped({}),
    "one API after the other restarts": scraped(
        {
            'http_requests_total{method="GET",route="/metrics",status="200"}': during(
                BEGIN, END + 1, lambda at: (at - BEGIN) / 15, rising(1 / 15)
            )
        },
        down={"api-1": restarted(BEGIN, 60), "api-2": restarted(BEGIN + 120, 60)},
    ),
    "all workers and the reaper are replaced": scraped(
        {
            "workers_active": during(BEGIN, BEGIN + 90, always(0), always(2)),
            'reaper_last_round_timestamp_seconds{kind="reaper",process="r1"}': during(
                BEGIN, BEGIN + 90, absent, lambda at: at - at % 10
            ),
            'processes{kind="worker",version="1"}': during(0, BEGIN + 900, always(1), absent),
            "unhandled_types": during(BEGIN, BEGIN + 90, always(1), always(0)),
        }
    ),
    "a queue is paused for a while": scraped(
        {
            'queue_paused{queue_name="mail"}': during(BEGIN, BEGIN + 50 * MINUTE, always(1), always(0)),
            'queue_oldest_ready_seconds{queue_name="mail"}': during(
                BEGIN, BEGIN + 50 * MINUTE, lambda at: at - BEGIN, always(0)
            ),
            'worker_slots_used{kind="worker",process="w1"}': always(10),
            'worker_slots_used{kind="worker",process="w2"}': always(10),
        }
    ),
    "one attempt fails at night, and one job waits": scraped(
        {
            'jobs_failed_total{job_type="send"}': risen(90 * MINUTE),
            'jobs_succeeded_total{job_type="send"}': always(1000),
            **latency(risen(90 * MINUTE)),
            **batches(risen(90 * MINUTE)),
        }
    ),
    "threads end some minutes after their jobs": scraped(
        {'stuck_threads{kind="worker",process="w1"}': during(BEGIN, BEGIN + 600, always(2), always(0))}
    ),
    "all slots are used and nothing waits": scraped(
        {'worker_slots_used{kind="worker",process="w1"}': always(10)}
    ),
    "Redis and the collector are away for a moment": scraped(
        {
            'redis_up{kind="worker",process="w1"}': during(BEGIN, BEGIN + 240, always(0), always(1)),
            "trace_spans_lost_total": risen(BEGIN),
        }
    ),
}


@pytest.mark.parametrize("name", NORMAL)
def test_nobody_is_called_in_normal_operation(name: str) -> None:
    assert fired(NORMAL[name]) == {}


INCIDENTS: dict[str, tuple[set[str], list[Samples]]] = {
    "an API is gone": ({"SchedoraDown"}, scraped({}, down={"api-2": from_begin(1)})),
    "no API reaches the database": (
        {"SchedoraDatabaseAway", "SchedoraHttpErrors"},
        scraped(
            {
                JOBS_ANSWERED % 201: day_and_night(0),
                JOBS_ANSWERED % 503: rising(5, begin=BEGIN),
            },
            stored=from_begin(0, before=1),
        ),
    ),
    "the last worker dies": ({"SchedoraNoWorkers"}, scraped({"workers_active": from_begin(0, before=2)})),
    "the reaper dies": (
        {"SchedoraNoReaper"},
        scraped(
            {
                'reaper_last_round_timestamp_seconds{kind="reaper",process="r1"}': during(
                    BEGIN, END + 1, absent, lambda at: at
                )
            }
        ),
    ),
    "the reaper's rounds fail": (
        {"SchedoraNoReaper"},
        scraped({'reaper_last_round_timestamp_seconds{kind="reaper",process="r1"}': lambda at: min(at, BEGIN)}),
    ),
    "a worker is lost": ({"SchedoraWorkersLost"}, scraped({"workers_lost_total": risen(BEGIN)})),
    "a worker is stuck": (
        {"SchedoraWorkerStuck"},
        scraped({'last_progress_seconds{kind="worker",process="w2"}': lambda at: max(0, at - BEGIN)}),
    ),
    "a queue waits": (
        {"SchedoraQueueWaits", "SchedoraQueueSlow"},
        scraped(
            {
                'queue_oldest_ready_seconds{queue_name="mail"}': lambda at: max(0, at - BEGIN),
                **latency(rising(1, begin=BEGIN)),
            }
        ),
    ),
    "somebody forgets that he paused a queue": (
        {"SchedoraQueuePaused"}, scraped({'queue_paused{queue_name="mail"}': from_begin(1)})
    ),
    "nobody knows a type": ({"SchedoraUnhandledTypes"}, scraped({"unhandled_types": from_begin(1)})),
    "one job fails for good": (
        {"SchedoraJobsDead"}, scraped({'jobs_dead_total{job_type="send"}': risen(BEGIN)})
    ),
    "what handlers call is broken": (
        {"SchedoraJobsFail"}, scraped({'jobs_failed_total{job_type="send"}': rising(5, begin=BEGIN)})
    ),
    "what handlers call is slow": (
        {"SchedoraJobsTimeOut"},
        scraped({'jobs_timed_out_total{job_type="send"}': risen(*(BEGIN + 30 * n for n in range(10)))}),
    ),
    "a job kills its workers": (
        {"SchedoraJobsPoisoned", "SchedoraJobsDead", "SchedoraWorkersLost"},
        scraped(
            {
                "workers_lost_total": risen(BEGIN, BEGIN + 200, BEGIN + 400),
                'jobs_poisoned_total{job_type="send"}': risen(BEGIN + 400),
                'jobs_dead_total{job_type="send"}': risen(BEGIN + 400),
            }
        ),
    ),
    "a worker wakes up late": ({"SchedoraJobsFenced"}, scraped({"jobs_fenced_total": risen(BEGIN)})),
    "there are too few slots": (
        {"SchedoraSlotsFull"},
        scraped(
            {
                'worker_slots_used{kind="worker",process="w1"}': always(10),
                'queue_oldest_ready_seconds{queue_name="mail"}': from_begin(60),
            }
        ),
    ),
    "a thread does not end": (
        {"SchedoraThreadsStuck"}, scraped({'stuck_threads{kind="worker",process="w1"}': from_begin(1)})
    ),
    "the database is slow": ({"SchedoraBatchSyncSlow"}, scraped(batches(rising(1, begin=BEGIN)))),
    "a pool is exhausted": (
        {"SchedoraPoolExhausted"},
        scraped({'database_connections_waiting{kind="worker",pool="shared",process="w1"}': from_begin(4)}),
    ),
    "a handler blocks": (
        {"SchedoraEventLoopLags"},
        scraped({'event_loop_lag_seconds{kind="worker",process="w1"}': from_begin(3)}),
    ),
    "hints are lost": (
        {"SchedoraWakeupsMissed"}, scraped({"wakeups_missed_total": rising(1, begin=BEGIN)})
    ),
    "Redis is away": (
        {"SchedoraRedisDown"}, scraped({'redis_up{kind="api",process="a1"}': from_begin(0, before=1)})
    ),
    "events are lost": ({"SchedoraEventsDropped"}, scraped({"events_dropped_total": risen(BEGIN)})),
    "the collector is away": (
        {"SchedoraSpansLost"}, scraped({"trace_spans_lost_total": rising(1, begin=BEGIN)})
    ),
    "requests fail": (
        {"SchedoraHttpErrors"},
        scraped(
            {'http_requests_total{method="GET",route="/api/v1/jobs",status="500"}': rising(1, begin=BEGIN)}
        ),
    ),
    "an upgrade is left half done": (
        {"SchedoraVersionsMixed"}, scraped({'processes{kind="worker",version="1"}': from_begin(1)})
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INCIDENTS)
def test_an_incident_calls_somebody_and_not_before_it_happens(name: str) -> None:
    expected, samples = INCIDENTS[name]
    found = fired(samples)
    assert found.keys() == expected
    assert min(min(moments) for moments in found.values()) >= BEGIN


def test_each_alert_has_its_incident() -> None:
    assert {rule.name for rule in RULES} == {name for expected, _ in INCIDENTS.values() for name in expected}
