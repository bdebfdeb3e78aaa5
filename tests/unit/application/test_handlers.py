"""The user's functions by job type."""

import pytest

from schedora.application.handlers import DuplicateType, Executor, Handler, Handlers


def a_handler(job_type: str) -> Handler:
    return Handler(type=job_type, executor=Executor.ASYNC, bind=lambda _: lambda _: None)


def test_handlers_are_found_by_type_in_the_order_added() -> None:
    first, second = a_handler("first"), a_handler("second")
    handlers = Handlers([first])
    handlers.add(second)
    assert (handlers["first"], handlers["second"]) == (first, second)
    assert (list(handlers), len(handlers)) == (["first", "second"], 2)
    with pytest.raises(KeyError):
        handlers["third"]


def test_type_has_one_handler() -> None:
    handlers = Handlers([a_handler("first")])
    with pytest.raises(DuplicateType, match="already a handler for jobs of type 'first'"):
        handlers.add(a_handler("first"))
    assert len(handlers) == 1
    with pytest.raises(DuplicateType):
        Handlers([a_handler("x"), a_handler("x")])
