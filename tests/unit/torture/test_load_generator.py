"""Whoever orders notes what contradicts what, and lets nothing pass that kept an order from being followed."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import attrs
import pytest

from schedora.entrypoints.sdk.errors import ConflictError, ServerError, Unavailable
from schedora_torture.load_generator import Accepted, LoadGenerator
from schedora_torture.workload import Order, OrderKind
from tests.programs import PATIENCE_SECONDS
from tests.unit.torture.evidences import ORDER
from tests.unit.torture.plans import a_plan

SINGLE = Order(at_seconds=0, number=1, kind=OrderKind.STEADY, jobs=(ORDER,))
FLOW = attrs.evolve(SINGLE, kind=OrderKind.CHAIN, workflow="r/1")


class Client:
    """Answers with the next of ``answers``, or raises it."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)

    async def _answer(self, *_: Any, **__: Any) -> Any:
        answer = next(self._answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    submit = create_workflow = list_workflows = _answer


async def ordered(order: Order, *answers: Any) -> Accepted:
    load_generator = LoadGenerator(a_plan(), [])
    load_generator._turn = itertools.cycle([Client(*answers)])  # type: ignore[list-item] # as far as it is asked here
    load_generator.take(order)
    await load_generator.finish(timedelta(seconds=PATIENCE_SECONDS))
    return load_generator.accepted()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedora_torture.load_generator._PAUSE_SECONDS", (0.0, 0.0))


async def test_an_order_that_breaks_off_by_whatever_is_told() -> None:
    accepted = await ordered(SINGLE, KeyError("id"))
    assert [complaint.said for complaint in accepted.complaints] == ["KeyError: 'id'"]


async def test_a_workflow_whose_name_is_taken_and_that_is_not_there_is_told() -> None:
    accepted = await ordered(FLOW, ConflictError("the name is taken"), [])
    assert [complaint.about for complaint in accepted.complaints] == ["order 1 (chain)"]


async def test_an_api_that_is_away_is_asked_again_and_one_that_fails_is_told() -> None:
    accepted = await ordered(
        SINGLE, Unavailable("no answer"), ServerError("500: oops"), ServerError("500: oops"), KeyError("id")
    )
    assert dict(accepted.failed_answers) == {"500: oops": 2}


async def test_what_is_not_answered_until_the_end_is_given_up() -> None:
    accepted = await ordered(SINGLE, asyncio.CancelledError())
    assert (accepted.given_up, accepted.complaints) == ([SINGLE], [])
