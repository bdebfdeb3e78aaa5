"""A fork has what the process has that forks it, and leaves nothing there."""

import os
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.mutation.conftest import Alone
from tests.mutation.forks import BROKEN, Ended, forked

kept = [0]


def all_ended(works: Iterable[Any], do: Callable[[Any], object], at_once: int = 1) -> list[Ended[Any]]:
    return list(forked(works, do, at_once=at_once))


def keep(number: int) -> list[int]:
    kept.append(number)
    return kept


def forks_there_are(_number: int) -> int:
    """This one, and those beside it that nobody has seen the end of."""
    return len(psutil.Process(os.getppid()).children())


def go(status: int) -> None:
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)


def is_silent(stream: int) -> bool:
    return os.path.samestat(os.fstat(stream), Path(os.devnull).stat())


def divide(number: int) -> float:
    return 1 / number


def wait_unless_first(number: int) -> None:
    if number:
        signal.pause()


def first_of_three() -> bool:
    """Whether nobody is left once it has ended, and the others were not waited for."""
    with closing(forked(range(3), wait_unless_first, at_once=3)) as ended:
        assert next(ended).work == 0
    with suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        return False
    return True


def beside_a_thread() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        all_ended([1], keep)
    finally:
        done.set()
        thread.join()


def test_each_begins_with_what_there_was_before_all_of_them(alone: Alone) -> None:
    ended = alone(all_ended, [1, 2, 3], keep, at_once=2)
    assert {one.work: one.told for one in ended} == {1: [0, 1], 2: [0, 2], 3: [0, 3]}
    assert {one.status for one in ended} == {0}


def test_more_can_be_told_than_a_pipe_holds(alone: Alone) -> None:
    [ended] = alone(all_ended, [1_000_000], bytes)
    assert len(ended.told) == 1_000_000


def test_an_error_is_told(alone: Alone) -> None:
    [ended] = alone(all_ended, [0], divide)
    assert ended.status == BROKEN
    assert "ZeroDivisionError" in ended.told


def test_nobody_sees_what_is_printed(alone: Alone) -> None:
    assert [one.told for one in alone(all_ended, [1, 2], is_silent)] == [True, True]


def test_one_that_goes_of_its_own_or_is_killed_tells_nothing(alone: Alone) -> None:
    ended = alone(all_ended, [36, -signal.SIGKILL], go)
    assert [(one.status, one.told) for one in ended] == [(36, None), (-signal.SIGKILL, None)]


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_run_at_once_than_may(alone: Alone, at_once: int) -> None:
    ended = alone(all_ended, range(6), forks_there_are, at_once=at_once)
    assert {one.work for one in ended} == set(range(6))
    assert max(one.told for one in ended) <= at_once


def test_those_that_run_when_nobody_asks_any_more_are_killed(alone: Alone) -> None:
    assert alone(first_of_three)


def test_nothing_is_forked_beside_a_thread(alone: Alone) -> None:
    with pytest.raises(AssertionError):
        alone(beside_a_thread)
