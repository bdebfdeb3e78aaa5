"""What a run yields."""

from datetime import timedelta
from inspect import getmembers, isclass
from typing import get_args

import attrs
import pytest

from schedora.domain import outcome as module
from schedora.domain.job_state import JobState
from schedora.domain.outcome import Failed, Outcome, Released, Snoozed, Succeeded, TimedOut, WorkerLost
from tests.builders import HOUR, a_claimed_job, settled

EXAMPLES: dict[type, Outcome] = {
    Succeeded: Succeeded(),
    Failed: Failed(kind="Oops", message="it failed"),
    TimedOut: TimedOut(timeout=HOUR),
    Snoozed: Snoozed(delay=HOUR),
    Released: Released(reason="draining"),
    WorkerLost: WorkerLost(message="silence"),
}


def test_every_value_with_a_name_is_an_outcome() -> None:
    named = {kind for _, kind in getmembers(module, isclass) if kind.__module__ == module.__name__}
    assert set(get_args(Outcome)) == named == set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_every_outcome_has_a_state_that_it_leads_to(kind: type) -> None:
    assert settled(a_claimed_job(), EXAMPLES[kind]).status in JobState


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_outcome_can_not_be_changed(kind: type) -> None:
    example = EXAMPLES[kind]
    [name, *_] = [field.name for field in attrs.fields(kind)]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(example, name, "other")


def test_what_is_not_said_is_the_usual() -> None:
    assert Succeeded().result is None
    failure = Failed(kind="Oops", message="it failed")
    assert (failure.retryable, failure.retry_after, failure.traceback) == (True, None, None)
    assert Snoozed(delay=timedelta(0)).reason is None
