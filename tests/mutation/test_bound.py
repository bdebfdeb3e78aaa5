"""A test that hangs is told from one that takes long."""

import threading
import time
from collections.abc import Callable

import pytest

from tests.mutation import bound
from tests.mutation.bound import bounded


class Hangs(Exception):
    pass


def hangs() -> None:
    raise Hangs


def spin(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def bounded_spin(*, for_seconds: float, usually: float) -> None:
    with bounded(usually, hangs):
        spin(for_seconds)


def bounded_sleep(sleep: Callable[[float], object]) -> None:
    with bounded(3600, hangs):
        sleep(60)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bound, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(bound, "SPIN_SECONDS", 0.05)
    monkeypatch.setattr(bound, "SPIN_TIMES", 1_000)
    monkeypatch.setattr(bound, "SLEEP_SECONDS", 0.05)


def test_one_that_spins_is_ended() -> None:
    with pytest.raises(Hangs):
        bounded_spin(for_seconds=60, usually=0)


@pytest.mark.parametrize("thread", [None, threading.Event()])
def test_one_that_sleeps_is_ended(thread: threading.Event | None) -> None:
    with pytest.raises(Hangs):
        bounded_sleep(time.sleep if thread is None else thread.wait)


def test_one_that_works_for_longer_may_go_on() -> None:
    bounded_spin(for_seconds=0.2, usually=1)


def test_nobody_looks_any_more_once_it_has_ended() -> None:
    with bounded(0, hangs):
        pass
    spin(0.2)
