"""Jobs as Python programs see them."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from schedora.application.ports.jobs import Submission
from schedora.domain.ids import JsonText
from schedora.entrypoints.sdk.views import JobView, job_view, submitted_view
from tests.builders import NOON, a_job, a_new_job, a_request


def made() -> Submission:
    new = a_new_job(a_request(payload=JsonText('{"a":[1]}'), idempotency_key="k"))
    return Submission(new=new, created=True, created_at=NOON)


def found() -> Submission:
    job = a_job()
    return Submission(
        new=a_new_job(), created=False, same_request=False, created_at=job.created_at, record=job
    )


@pytest.mark.parametrize("submission", [made(), found()], ids=["made", "found"])
def test_view_of_a_submission_is_that_of_its_job(submission: Submission) -> None:
    view = submitted_view(submission)
    expected = job_view(submission.job, created=submission.created, same_request=submission.same_request)
    for name in (field.name for field in attrs.fields(JobView)):
        assert getattr(submitted_view(submission), name) == getattr(expected, name), "whatever is asked first"
        assert getattr(view, name) == getattr(expected, name)


LOOKS: list[Callable[[JobView[None]], object]] = [
    lambda view: view,
    repr,
    hash,
    copy.copy,
    copy.deepcopy,
    attrs.asdict,
    lambda view: attrs.evolve(view, priority=9),
    lambda view: pickle.loads(pickle.dumps(view)),
    lambda view: view.ended,
]


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_tells_it_from_one_that_was_read(look: Callable[[JobView[None]], object]) -> None:
    submission = made()
    assert look(submitted_view(submission)) == look(job_view(submission.job))
    assert look(job_view(submission.job)) == look(submitted_view(submission))


def test_it_has_no_more_attributes_than_one_that_was_read() -> None:
    for view in (submitted_view(made()), job_view(made().job)):
        assert not hasattr(view, "nothing")
        with pytest.raises(AttributeError, match="'JobView' object has no attribute 'nothing'"):
            view.nothing  # type: ignore[attr-defined] # noqa: B018 - that is the point
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            view.priority = 3  # type: ignore[misc] # that is the point


def test_threads_that_look_at_once_see_the_same() -> None:
    views = [submitted_view(made()) for _ in range(200)]
    with ThreadPoolExecutor(4) as threads:
        seen = [list(threads.map(lambda view: view.payload, views)) for _ in range(4)]
    assert seen == [[{"a": [1]}] * 200] * 4
