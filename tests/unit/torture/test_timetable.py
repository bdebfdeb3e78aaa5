"""The seed alone decides when which fault strikes whom, within what a system can recover from."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora_torture.faults import (
    IN_WORDS,
    ON_OWN_POSTGRES,
    ON_OWN_REDIS,
    ON_REDIS,
    ON_WORKERS,
    FaultKind,
)
from schedora_torture.timetable import (
    QUIET_SECONDS,
    STORM_SECONDS,
    WARM_UP_SECONDS,
    kinds_for,
    timetable,
)
from tests.unit.torture.plans import a_plan

SEEDS = st.integers(0, 2**31 - 1)


@given(SEEDS)
def test_the_same_seed_makes_the_same_timetable_whatever_the_run_is_called(seed: int) -> None:
    assert timetable(a_plan(seed=seed)) == timetable(a_plan(seed=seed, run="another"))


def test_another_seed_makes_another_timetable() -> None:
    assert timetable(a_plan(seed=1)) != timetable(a_plan(seed=2))


@given(SEEDS, st.floats(0.1, 10))
def test_faults_come_in_order_and_have_ended_by_the_end(seed: int, minutes: float) -> None:
    faults = timetable(a_plan(seed=seed, duration=timedelta(minutes=minutes)))
    assert all(earlier.at_seconds <= later.at_seconds for earlier, later in pairwise(faults))
    assert all(fault.ends_seconds <= minutes * 60 for fault in faults)


@given(SEEDS)
def test_between_storms_nothing_begins(seed: int) -> None:
    for fault in timetable(a_plan(seed=seed)):
        within = (fault.at_seconds - WARM_UP_SECONDS) % (STORM_SECONDS + QUIET_SECONDS)
        assert fault.at_seconds >= WARM_UP_SECONDS
        assert within <= STORM_SECONDS


@given(SEEDS, st.integers(2, 5))
def test_a_worker_is_always_left_alone(seed: int, workers: int) -> None:
    stopping = [fault for fault in timetable(a_plan(seed=seed, workers=workers)) if fault.kind in ON_WORKERS]
    for fault in stopping:
        at_once = {
            other.target for other in stopping if other.at_seconds <= fault.at_seconds <= other.ends_seconds
        }
        assert len(at_once) < workers


@given(SEEDS)
def test_every_kind_strikes_in_a_quarter_of_an_hour(seed: int) -> None:
    plan = a_plan(seed=seed, duration=timedelta(minutes=15), own_redis=True)
    assert {fault.kind for fault in timetable(plan)} == set(FaultKind)


def test_every_kind_is_told_in_words() -> None:
    assert set(IN_WORDS) == set(FaultKind)


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        ({}, ON_REDIS),
        ({"own_redis": True}, frozenset()),
        ({"redis_url": "redis://there"}, ON_OWN_REDIS),
        ({"database_url": "postgresql://there/db"}, ON_OWN_POSTGRES | ON_REDIS),
        (
            {"database_url": "postgresql://there/db", "redis_url": "redis://there"},
            ON_OWN_POSTGRES | ON_OWN_REDIS,
        ),
    ],
)
def test_what_others_use_as_well_is_not_stopped_emptied_or_filled(
    fields: dict[str, object], left_out: frozenset[FaultKind]
) -> None:
    assert set(FaultKind) - set(kinds_for(a_plan(**fields))) == left_out
