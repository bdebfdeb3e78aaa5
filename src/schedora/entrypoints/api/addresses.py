"""Where things are found."""

from schedora.domain.ids import JobId, WorkflowId

PREFIX = "/api/v1"


def job_address(job_id: JobId) -> str:
    return f"{PREFIX}/jobs/{job_id}"


def workflow_address(workflow_id: WorkflowId) -> str:
    return f"{PREFIX}/workflows/{workflow_id}"
