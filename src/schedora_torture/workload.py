"""What is ordered of the system, and how each job must end: decided by the seed alone."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from random import Random
from typing import Any

from attrs import field, frozen

from schedora.domain.job_state import JobState
from schedora_torture.plan import Plan

RETRIES = 100
"""More than faults can use up: a job that has as many ends as its handler says."""
_SEED_APART = 1
"""Orders and faults do not share their dice."""


class OrderKind(StrEnum):
    STEADY = "steady"
    LONG = "long"
    THREADED = "threaded"
    SEPARATE = "separate"
    EXACT = "exact"
    EXACT_SEPARATE = "exact_separate"
    FLAKY = "flaky"
    DOOMED = "doomed"
    HANGING = "hanging"
    SNOOZING = "snoozing"
    DELAYED = "delayed"
    REPEATED = "repeated"
    CANCELED = "canceled"
    REQUEUED = "requeued"
    BATCH = "batch"
    CHAIN = "chain"
    FAN = "fan"
    BROKEN_FLOW = "broken_flow"
    MENDED_FLOW = "mended_flow"
    CANCELED_FLOW = "canceled_flow"


_WEIGHTS = {
    OrderKind.STEADY: 30,
    OrderKind.LONG: 6,
    OrderKind.THREADED: 10,
    OrderKind.SEPARATE: 2,
    OrderKind.EXACT: 12,
    OrderKind.EXACT_SEPARATE: 1,
    OrderKind.FLAKY: 8,
    OrderKind.DOOMED: 3,
    OrderKind.HANGING: 3,
    OrderKind.SNOOZING: 5,
    OrderKind.DELAYED: 4,
    OrderKind.REPEATED: 6,
    OrderKind.CANCELED: 4,
    OrderKind.REQUEUED: 3,
    OrderKind.BATCH: 2,
    OrderKind.CHAIN: 2,
    OrderKind.FAN: 2,
    OrderKind.BROKEN_FLOW: 1,
    OrderKind.MENDED_FLOW: 1,
    OrderKind.CANCELED_FLOW: 1,
}


@frozen(kw_only=True)
class JobOrder:
    """One job. ``key`` names it: its idempotency key, or that within its workflow."""

    key: str
    type: str
    payload: Mapping[str, Any] = field(factory=dict)
    ending: JobState = JobState.SUCCESS
    options: Mapping[str, Any] = field(factory=dict)
    depends_on: tuple[str, ...] = ()


@frozen(kw_only=True)
class Order:
    """One job, a batch, or the jobs of a ``workflow``. ``delay_seconds``: how long whoever follows it up waits before."""

    at_seconds: float
    number: int
    kind: OrderKind
    jobs: tuple[JobOrder, ...]
    workflow: str | None = None
    delay_seconds: float = 0.0


def orders(plan: Plan) -> Iterator[Order]:
    """In the order of time, until the plan's duration is over."""
    random = Random(plan.seed + _SEED_APART)  # noqa: S311 - to be repeated, not to be secret
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    at = 0.0
    number = 0
    while at < plan.duration.total_seconds():
        (kind,) = random.choices(kinds, weights)
        yield _order(random, kind, number, round(at, 3), plan)
        at += random.expovariate(plan.rate)
        number += 1


def blocking_job(plan: Plan, number: int, seconds: float) -> JobOrder:
    """One that blocks the event loop of whoever runs it."""
    return _job(plan, f"{plan.run}/block/{number}", "blocking", {"seconds": seconds})


def _order(random: Random, kind: OrderKind, number: int, at: float, plan: Plan) -> Order:
    key = f"{plan.run}/{number}"
    seconds = round(random.uniform(0, 0.3), 3)
    workflow: str | None = None
    match kind:
        case OrderKind.STEADY | OrderKind.REPEATED | OrderKind.DELAYED:
            jobs = [_job(plan, key, "steady", {"seconds": seconds})]
        case OrderKind.LONG:  # under way when its worker is lost, and again when that one comes back
            jobs = [_job(plan, key, "silent", {"seconds": round(1 + seconds * 20, 3)})]
        case OrderKind.THREADED | OrderKind.SEPARATE | OrderKind.EXACT | OrderKind.EXACT_SEPARATE:
            jobs = [_job(plan, key, kind.value, {"seconds": seconds})]
        case OrderKind.FLAKY:
            jobs = [_job(plan, key, "flaky", {"failures": random.randint(1, 4)})]
        case OrderKind.DOOMED:
            jobs = [_job(plan, key, "doomed", ending=JobState.DEAD)]
        case OrderKind.HANGING:
            jobs = [_job(plan, key, "hanging", {"hangs": 1}, timeout_seconds=round(1 + seconds * 3, 3))]
        case OrderKind.SNOOZING:
            jobs = [_job(plan, key, "snoozing", {"times": random.randint(1, 5)})]
        case OrderKind.CANCELED:
            jobs = [_job(plan, key, "endless", ending=JobState.CANCELED, timeout_seconds=3600)]
        case OrderKind.REQUEUED:
            jobs = [_job(plan, key, "flaky", {"failures": 1}, max_retries=0)]
        case OrderKind.BATCH:
            jobs = [
                _job(plan, f"{key}/{place}", "steady", {"seconds": 0.0})
                for place in range(random.randint(2, 30))
            ]
        case _:
            workflow = key
            jobs = _flow(random, kind, plan)
    return Order(
        at_seconds=at,
        number=number,
        kind=kind,
        jobs=tuple(jobs),
        workflow=workflow,
        delay_seconds=round(random.uniform(0.1, 2.0), 3),
    )


def _flow(random: Random, kind: OrderKind, plan: Plan) -> list[JobOrder]:
    match kind:
        case OrderKind.CHAIN:
            return _chain(plan, random.randint(2, 6))
        case OrderKind.FAN:
            wide = random.randint(2, 8)
            middle = [f"wing{place}" for place in range(wide)]
            return [
                _step(plan, "root"),
                *(_step(plan, name, "root") for name in middle),
                _step(plan, "join", *middle),
            ]
        case OrderKind.BROKEN_FLOW:
            return [
                _step(plan, "first"),
                _step(plan, "beside"),
                _job(plan, "breaks", "doomed", ending=JobState.DEAD, depends_on=("first",)),
                _step(plan, "behind", "breaks", "beside", ending=JobState.CANCELED),
                _step(plan, "last", "behind", ending=JobState.CANCELED),
            ]
        case OrderKind.MENDED_FLOW:
            return [
                _step(plan, "first"),
                _job(plan, "mended", "flaky", {"failures": 1}, max_retries=0, depends_on=("first",)),
                _step(plan, "last", "mended"),
            ]
        case _:  # one that is canceled
            return [
                _job(plan, "endless", "endless", ending=JobState.CANCELED, timeout_seconds=3600),
                _step(plan, "never", "endless", ending=JobState.CANCELED),
            ]


def _chain(plan: Plan, length: int) -> list[JobOrder]:
    return [_step(plan, f"link{place}", *([f"link{place - 1}"] if place else [])) for place in range(length)]


def _step(plan: Plan, key: str, *upstream: str, ending: JobState = JobState.SUCCESS) -> JobOrder:
    return _job(plan, key, "step", {"waits_for": list(upstream)}, ending=ending, depends_on=upstream)


def _job(
    plan: Plan,
    key: str,
    handler: str,
    payload: Mapping[str, Any] | None = None,
    *,
    ending: JobState = JobState.SUCCESS,
    depends_on: tuple[str, ...] = (),
    max_retries: int = RETRIES,
    timeout_seconds: float = 30,
) -> JobOrder:
    return JobOrder(
        key=key,
        type=f"torture.{handler}",
        payload=payload or {},
        ending=ending,
        depends_on=depends_on,
        options={
            "queue": plan.queue,
            "max_retries": max_retries,
            "retry_policy": "jitter",
            "retry_base_seconds": 0.1,
            "retry_max_seconds": 1.0,
            "timeout_seconds": timeout_seconds,
        },
    )
