"""A process that may fork: under xdist this one has threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, set_start_method
from typing import ParamSpec, Protocol, TypeVar

import pytest

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Alone(Protocol):
    """Calls a function in a process that has one thread."""

    def __call__(
        self, do: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Result: ...


@pytest.fixture(scope="module")
def alone() -> Iterator[Alone]:
    spawned = get_context("spawn")
    with ProcessPoolExecutor(1, spawned, initializer=set_start_method, initargs=("fork", True)) as process:

        def call(do: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
            return process.submit(do, *args, **kwargs).result()

        yield call
