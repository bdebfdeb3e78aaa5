"""A workflow's state follows from its jobs'."""

from itertools import product

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.workflow import (
    DESCRIPTION_LENGTH_MAX,
    ENDED_WORKFLOW,
    NAME_LENGTH_MAX,
    JobCounts,
    WorkflowState,
)
from tests.builders import NOON, a_workflow

W = WorkflowState


@pytest.mark.parametrize(
    ("counts", "canceled", "status"),
    [
        ({}, False, W.PENDING),
        ({}, True, W.CANCELED),
        ({"total": 2}, False, W.PENDING),
        ({"total": 2, "begun": True}, False, W.RUNNING),
        ({"total": 2, "running": 1}, False, W.RUNNING),
        ({"total": 2, "succeeded": 1}, False, W.RUNNING),
        ({"total": 2, "failed": 1}, False, W.RUNNING),
        ({"total": 2, "succeeded": 2}, False, W.SUCCESS),
        ({"total": 2, "succeeded": 1, "failed": 1}, False, W.FAILED),
        ({"total": 2, "canceled": 1, "failed": 1}, False, W.FAILED),
        ({"total": 2, "canceled": 1, "succeeded": 1}, False, W.CANCELED),
        ({"total": 2, "canceled": 2}, True, W.CANCELED),
        ({"total": 2, "canceled": 1, "failed": 1}, True, W.CANCELED),
        ({"total": 2, "canceled": 1, "running": 1}, True, W.RUNNING),
    ],
)
def test_status_follows_from_the_counts(counts: dict[str, int], canceled: bool, status: W) -> None:
    workflow = a_workflow(counts=counts, canceled_at=NOON if canceled else None)
    assert workflow.status is status
    assert workflow.ended is (status in ENDED_WORKFLOW)


@pytest.mark.parametrize("counts", list(product(range(3), repeat=4)))
def test_ended_when_all_of_its_jobs_have(counts: tuple[int, int, int, int]) -> None:
    succeeded, failed, canceled, going_on = counts
    total = sum(counts)
    workflow = a_workflow(
        counts={"total": total, "succeeded": succeeded, "failed": failed, "canceled": canceled}
    )
    assert workflow.ended is (going_on == 0 and total > 0)
    assert (workflow.status is W.SUCCESS) is (total > 0 and succeeded == total)


def test_pending_is_what_neither_runs_nor_ended() -> None:
    counts = JobCounts(total=10, succeeded=1, failed=2, canceled=3, running=1)
    assert (counts.ended, counts.pending) == (6, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * (NAME_LENGTH_MAX + 1)),
        ("name", "a\x00b"),
        ("description", "x" * (DESCRIPTION_LENGTH_MAX + 1)),
        ("description", "\udc80"),
    ],
)
def test_names_and_descriptions_have_bounds(field: str, value: str) -> None:
    with pytest.raises(InvalidField) as caught:
        a_workflow(**{field: value})
    assert caught.value.field == field


def test_names_and_descriptions_may_fill_their_bounds() -> None:
    a_workflow(name="x" * NAME_LENGTH_MAX, description="ж" * DESCRIPTION_LENGTH_MAX)
