"""One story for the whole documentation: a mail is sent, an order is worked off."""

from typing import Any

JOB_ID = "0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60"
NEXT_JOB_ID = "0198c0de-6f00-7a3c-8f21-3b5d8c1e4f61"
WORKFLOW_ID = "0198c0de-6e00-7b1d-9c42-5a7e9d2f6b80"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CREATED_AT = "2030-01-31T08:00:00.125Z"
CLAIMED_AT = "2030-01-31T08:00:00.127Z"
STARTED_AT = "2030-01-31T08:00:00.128Z"
COMPLETED_AT = "2030-01-31T08:00:00.964Z"

JOB_SUBMISSION: dict[str, Any] = {
    "type": "send_email",
    "payload": {"to": "ada@example.org", "subject": "Your invoice"},
    "idempotency_key": "invoice-2030-0042",
    "priority": 7,
    "queue": "mail",
    "max_retries": 5,
    "retry_policy": "jitter",
    "timeout_seconds": 30,
}

JOB: dict[str, Any] = {
    "job_id": JOB_ID,
    "type": "send_email",
    "payload": {"to": "ada@example.org", "subject": "Your invoice"},
    "idempotency_key": "invoice-2030-0042",
    "priority": 7,
    "queue": "mail",
    "scheduled_at": CREATED_AT,
    "max_retries": 5,
    "retry_policy": "jitter",
    "retry_base_seconds": 60,
    "retry_max_seconds": 3600,
    "timeout_seconds": 30,
    "workflow_id": None,
    "key": None,
    "depends_on": [],
    "status": "PENDING",
    "worker_id": None,
    "attempt": 0,
    "retry_count": 0,
    "lease_token": 0,
    "worker_deaths": 0,
    "created_at": CREATED_AT,
    "claimed_at": None,
    "started_at": None,
    "completed_at": None,
    "error_message": None,
    "errors": [],
    "progress": None,
    "result": None,
    "trace_id": TRACE_ID,
}

DEAD_JOB: dict[str, Any] = JOB | {
    "status": "DEAD",
    "worker_id": "mailer-1",
    "attempt": 1,
    "lease_token": 1,
    "claimed_at": CLAIMED_AT,
    "started_at": STARTED_AT,
    "completed_at": COMPLETED_AT,
    "error_message": "the mailbox does not exist",
    "errors": [
        {
            "attempt": 1,
            "at": COMPLETED_AT,
            "worker_id": "mailer-1",
            "kind": "Discard",
            "message": "the mailbox does not exist",
            "traceback": None,
        }
    ],
}

BATCH_ROW: dict[str, Any] = {"job_id": JOB_ID, "outcome": "created", "same_request": True}

CANCELED: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "CANCELED",
    "message": "Job canceled successfully",
}

EVENT_STREAM = """\
retry: 2350

event: ready
data: {"at":"2030-01-31T08:00:00Z"}
id: 1896076800000-17

event: job
data: {"at":"2030-01-31T08:00:00.127Z","from":"PENDING","to":"SCHEDULED","attempt":1,"worker_id":"mailer-1",\
"reason":null,"job_id":"0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60","type":"send_email","queue":"mail","workflow_id":null}
id: 1896076800131-18

: keep-alive
id: 1896076815131-18

"""

JOB_EVENT_STREAM = """\
retry: 1200

event: job
data: {"at":"2030-01-31T08:00:00.128Z","from":"SCHEDULED","to":"RUNNING","attempt":1,"worker_id":"mailer-1",\
"reason":null,"job_id":"0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60","type":"send_email","queue":"mail","workflow_id":null}
id: 1896076800128000-RUNNING

event: job
data: {"at":"2030-01-31T08:00:00.964Z","from":"RUNNING","to":"SUCCESS","attempt":1,"worker_id":"mailer-1",\
"reason":null,"job_id":"0198c0de-6f00-7a3c-8f21-3b5d8c1e4f60","type":"send_email","queue":"mail","workflow_id":null}
id: 1896076800964000-SUCCESS

event: end
data: {"status":"SUCCESS"}
id: 1896076800964000-SUCCESS-end

"""

WORKFLOW_EVENT_STREAM = """\
retry: 1800

event: workflow
data: {"workflow_id":"0198c0de-6e00-7b1d-9c42-5a7e9d2f6b80","status":"SUCCESS","total_jobs":2,"completed_jobs":2,\
"pending_jobs":0,"failed_jobs":0,"running_jobs":0,"canceled_jobs":0}

event: end
data: {"status":"SUCCESS"}
id: end-1896076800964000

"""

EVENT: dict[str, Any] = {
    "at": CLAIMED_AT,
    "from": "PENDING",
    "to": "SCHEDULED",
    "attempt": 1,
    "worker_id": "mailer-1",
    "reason": None,
}

JOB_LOG: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "SUCCESS",
    "runs": [
        {
            "attempt": 1,
            "lease_token": 1,
            "worker_id": "mailer-1",
            "dropped": 0,
            "lines": [
                {
                    "timestamp": "2030-01-31T08:00:00.131702Z",
                    "level": "info",
                    "message": "handed over",
                    "relay": "mx1.example.org",
                    "logger": "schedora.handler",
                }
            ],
        }
    ],
    "last": "1-1",
}

WHY: dict[str, Any] = {
    "job_id": JOB_ID,
    "status": "PENDING",
    "ready": False,
    "summary": "PENDING: queue mail has been paused for 12 min",
    "reasons": [
        {
            "code": "queue_paused",
            "message": "queue mail has been paused for 12 min",
            "since": CREATED_AT,
            "queue": "mail",
        }
    ],
}

TRACE: dict[str, Any] = {
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "schedora"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "schedora", "version": "1.4.0"},
                    "spans": [
                        {
                            "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
                            "spanId": "62c0a344d7fe5dfe",
                            "parentSpanId": "00f067aa0ba902b7",
                            "name": "process mail",
                            "kind": 5,
                            "startTimeUnixNano": "1896076800128000000",
                            "endTimeUnixNano": "1896076800964000000",
                            "attributes": [
                                {"key": "messaging.message.id", "value": {"stringValue": JOB_ID}},
                                {"key": "schedora.attempt", "value": {"intValue": "1"}},
                            ],
                            "flags": 1,
                        }
                    ],
                }
            ],
        }
    ],
}

DLQ_FILTER: dict[str, Any] = {"type": "send_email", "error_kind": "timeout"}

WORKFLOW_SUBMISSION: dict[str, Any] = {
    "name": "order-42",
    "description": "From the order to the invoice",
    "config": {"region": "eu"},
    "jobs": [
        {"key": "validate", "type": "validate_order", "payload": {"order_id": 42}},
        {"key": "charge", "type": "charge_payment", "depends_on": ["validate"]},
    ],
}

WORKFLOW_STATUS: dict[str, Any] = {
    "workflow_id": WORKFLOW_ID,
    "status": "PENDING",
    "total_jobs": 2,
    "completed_jobs": 0,
    "pending_jobs": 2,
    "failed_jobs": 0,
    "running_jobs": 0,
    "canceled_jobs": 0,
}

WORKFLOW: dict[str, Any] = WORKFLOW_STATUS | {
    "name": "order-42",
    "description": "From the order to the invoice",
    "config": {"region": "eu"},
    "created_at": CREATED_AT,
    "completed_at": None,
}

WORKFLOW_CREATED: dict[str, Any] = WORKFLOW | {
    "jobs": [
        {"job_id": JOB_ID, "key": "validate", "type": "validate_order", "status": "PENDING"},
        {"job_id": NEXT_JOB_ID, "key": "charge", "type": "charge_payment", "status": "PENDING"},
    ],
}

_STEP: dict[str, Any] = JOB | {"workflow_id": WORKFLOW_ID, "idempotency_key": None}

WORKFLOW_DETAIL: dict[str, Any] = WORKFLOW | {
    "jobs": [
        _STEP | {"type": "validate_order", "key": "validate", "payload": {"order_id": 42}},
        _STEP
        | {
            "job_id": NEXT_JOB_ID,
            "type": "charge_payment",
            "key": "charge",
            "payload": {},
            "depends_on": [JOB_ID],
        },
    ],
    "edges": [{"from": JOB_ID, "to": NEXT_JOB_ID}],
}

WORKER_REGISTRATION: dict[str, Any] = {
    "worker_id": "mailer-1",
    "hostname": "node-7",
    "pid": 4211,
    "version": "1.4.0",
    "max_concurrent_jobs": 10,
    "queues": ["mail"],
}

WORKER: dict[str, Any] = WORKER_REGISTRATION | {
    "incarnation_id": "7d1f3c52-93a4-4e0b-8d26-0f6a5b9c8e71",
    "status": "ACTIVE",
    "running_jobs": 3,
    "types": ["send_email"],
    "registered_at": CREATED_AT,
    "last_heartbeat": COMPLETED_AT,
    "cpu_percent": 12.5,
    "memory_percent": 3.25,
    "stuck_threads": 0,
    "death": None,
}

HEARTBEAT: dict[str, Any] = {"cpu_percent": 12.5, "memory_percent": 3.25}

QUEUE: dict[str, Any] = {"queue": "mail", "paused": False, "paused_at": None}

PAUSED_QUEUE: dict[str, Any] = {"queue": "mail", "paused": True, "paused_at": CREATED_AT}

RETENTION_CHANGE: dict[str, Any] = {"success_seconds": 86_400, "dead_seconds": 7_776_000}

_RETENTION: dict[str, Any] = {
    "success_seconds": 86_400.0,
    "canceled_seconds": None,
    "dead_seconds": 7_776_000.0,
}

QUEUE_RETENTION: dict[str, Any] = {"queue": "mail"} | _RETENTION

_FIGURES: dict[str, Any] = {
    "pending_jobs": 12,
    "running_jobs": 3,
    "dlq_jobs": 1,
    "by_status": {"PENDING": 11, "SCHEDULED": 0, "RUNNING": 3, "RETRYING": 1, "DEAD": 1},
    "oldest_ready_seconds": 0.25,
}

STATS: dict[str, Any] = _FIGURES | {
    "unhandled_types": ["send_fax"],
    "counted_seconds_ago": 0.0,
    "queues": {"mail": _FIGURES | {"paused": False, "retention": _RETENTION}},
}

HEALTH: dict[str, Any] = {
    "status": "healthy",
    "database": "up",
    "redis": "disabled",
    "workers": {"total": 2, "active": 2, "stale": 0},
}

DEEP_HEALTH: dict[str, Any] = {
    "status": "warning",
    "examined_at": CREATED_AT,
    "seconds": 0.062,
    "findings": [
        {
            "code": "queue_paused",
            "severity": "warning",
            "check": "work",
            "found": "queue mail is paused, and jobs wait in it, the oldest for 12 min",
            "consequence": "Its jobs wait until somebody resumes it.",
            "fix": "schedora queues resume mail",
            "details": {"queue": "mail", "oldest_seconds": 720.5},
        }
    ],
    "checks": [
        {"name": "database", "status": "ok", "not_done": None},
        {"name": "work", "status": "warning", "not_done": None},
    ],
}

METRICS = """\
# HELP jobs_created_total Jobs stored.
# TYPE jobs_created_total counter
jobs_created_total{job_type="send_email"} 42.0
"""


def _problem(kind: str, title: str, status: int, detail: str, *errors: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": f"urn:problem-type:schedora:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        "errors": list(errors),
        "trace_id": TRACE_ID,
    }


_TOO_HIGH = "priority must be between 0 and 10, not 11"

PROBLEMS: dict[int, dict[str, Any]] = {
    404: _problem("not-found", "There is no such thing", 404, f"there is no job {JOB_ID}"),
    408: _problem(
        "too-slow",
        "The request came too slowly",
        408,
        "The request did not come within its time limit.",
    ),
    409: _problem(
        "conflict",
        "The present state forbids it",
        409,
        f"job {JOB_ID} has already ended: it is SUCCESS",
    ),
    413: _problem(
        "too-large",
        "The request is too large",
        413,
        "payload has 1048577 bytes encoded, and at most 1048576 are allowed",
        {"field": "payload", "message": "payload has 1048577 bytes encoded, and at most 1048576 are allowed"},
    ),
    415: _problem(
        "unsupported-media-type",
        "The body is of the wrong kind",
        415,
        "The body must be application/json, not text/plain.",
    ),
    422: _problem(
        "invalid-request",
        "The request breaks rules",
        422,
        _TOO_HIGH,
        {"field": "priority", "message": _TOO_HIGH, "value": 11},
    ),
    500: _problem(
        "internal",
        "Something went wrong in the server",
        500,
        "The server failed to answer; the trace_id finds the reason in its log.",
    ),
    503: _problem(
        "unavailable",
        "The service is not available now",
        503,
        "The store can't be reached now; try again soon.",
    ),
}
