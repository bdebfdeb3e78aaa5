"""A worker, as the others see it."""

from datetime import timedelta
from typing import Any

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.worker import (
    CONCURRENCY_MAX,
    LIVE,
    NAMES_MAX,
    PID_MAX,
    Worker,
    WorkerState,
    lost,
    watch_gap_max,
)
from tests.builders import NOON, SECOND, an_identity, an_incarnation


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("worker_id", ""),
        ("worker_id", "x" * 256),
        ("hostname", "x" * 256),
        ("hostname", "\x00"),
        ("version", "x" * 101),
        ("pid", -1),
        ("pid", PID_MAX + 1),
        ("max_concurrent_jobs", 0),
        ("max_concurrent_jobs", CONCURRENCY_MAX + 1),
        ("queues", ("",)),
        ("queues", ("a", "x" * 201)),
        ("queues", ("a",) * (NAMES_MAX + 1)),
        ("types", ("\ud800",)),
        ("types", ("a",) * (NAMES_MAX + 1)),
    ],
)
def test_field_that_breaks_its_rule_is_named(field: str, value: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        an_identity(**{field: value})
    assert caught.value.field.partition("[")[0] == field


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pid", -1, f"pid must be between 0 and {PID_MAX}, not -1"),
        ("max_concurrent_jobs", 0, f"max_concurrent_jobs must be between 1 and {CONCURRENCY_MAX}, not 0"),
        ("types", ("a",) * (NAMES_MAX + 1), f"types must be at most {NAMES_MAX} names, not {NAMES_MAX + 1}"),
    ],
)
def test_what_is_allowed_is_told(field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidField) as caught:
        an_identity(**{field: value})
    assert str(caught.value) == message


def test_it_serves_its_queues_or_all_and_knows_its_types() -> None:
    everywhere, mail = an_identity(types=("a",)), an_identity(queues=("mail",))
    assert [everywhere.serves("mail"), mail.serves("mail"), mail.serves("other")] == [True, True, False]
    assert [everywhere.knows("a"), everywhere.knows("b")] == [True, False]


def test_name_that_breaks_its_rule_is_named_by_its_place() -> None:
    with pytest.raises(InvalidField, match=r"queues\[1\] must be 1 to 200 characters long, not ''"):
        an_identity(queues=("mail", "", "x"))


def test_fields_may_fill_their_bounds() -> None:
    an_identity(worker_id="x" * 255, hostname="", version="", pid=0, max_concurrent_jobs=1)
    names = ("x" * 200,) * NAMES_MAX
    an_identity(pid=PID_MAX, max_concurrent_jobs=CONCURRENCY_MAX, queues=names, types=names)


@pytest.mark.parametrize("status", WorkerState)
@pytest.mark.parametrize(("passed", "silent"), [(89, False), (90, False), (91, True)])
def test_silent_when_longer_unheard_of_than_allowed(status: WorkerState, passed: int, silent: bool) -> None:
    worker = Worker(
        identity=an_identity(),
        incarnation=an_incarnation(),
        status=status,
        registered_at=NOON,
        last_heartbeat=NOON,
    )
    found = worker.silent_at(NOON + passed * SECOND, timedelta(seconds=90))
    assert found is (silent and status in LIVE)


@pytest.mark.parametrize(
    ("silent_seconds", "watched_seconds", "heard_elsewhere", "given_up"),
    [
        (90, 900, False, False), (91, 900, False, True), (91, 91, False, True), (900, 90, False, False),
        (900, 0, False, False), (91, 900, True, False), (450, 900, True, False), (451, 900, True, True),
        (900, 450, True, False),
    ],
)  # fmt: skip
def test_lost_by_the_silence_in_the_store_alone_and_by_what_somebody_could_notice_of_it(
    silent_seconds: int, watched_seconds: int, heard_elsewhere: bool, given_up: bool
) -> None:
    found = lost(
        timedelta(seconds=silent_seconds),
        timedelta(seconds=90),
        watched_for=timedelta(seconds=watched_seconds),
        heard_elsewhere=heard_elsewhere,
    )
    assert found is given_up


def test_a_pause_of_a_third_of_the_timeout_goes_unnoticed() -> None:
    assert watch_gap_max(timedelta(seconds=90)) == timedelta(seconds=30)
