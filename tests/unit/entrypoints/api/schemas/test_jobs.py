import attrs
import pytest

from schedora.application.ports.jobs import Submission
from schedora.domain.ids import JsonText
from schedora.domain.job_request import JobRequest
from schedora.entrypoints.api.answers import encoded
from schedora.entrypoints.api.schemas.jobs import job_view, submission_view
from tests.builders import HOUR, NOON, TRACE, a_job, a_job_id, a_new_job, a_request, a_workflow_id

FULL = JobRequest(
    type="work",
    payload=JsonText('{"a":1}'),
    idempotency_key="k",
    priority=7,
    queue="mail",
    scheduled_at=NOON + HOUR,
    timeout=HOUR / 3_600_000,
    workflow_id=a_workflow_id(),
    key="step",
    depends_on=(a_job_id(), a_job_id()),
    trace=TRACE,
)


@pytest.mark.parametrize("request_", [a_request(), FULL])
def test_a_new_job_is_shown_as_its_record_is(request_: JobRequest) -> None:
    submission = Submission(new=a_new_job(request=request_), created=True, created_at=NOON)

    assert encoded(submission_view(submission)) == encoded(job_view(submission.job))


def test_a_job_that_was_found_is_shown_as_it_is() -> None:
    found = attrs.evolve(a_job(), attempt=3)
    submission = Submission(new=a_new_job(), created=False, created_at=NOON, record=found)

    assert encoded(submission_view(submission)) == encoded(job_view(found))
