"""Bad input: each gets a clear refusal, none a 500, and nothing of it is stored."""

import contextlib
import re
import socket
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from tests.acceptance.api import Api, fresh, problem, refused, step, submission
from tests.acceptance.server import Document
from tests.programs import PATIENCE_SECONDS

MEGABYTE = "x" * 1_000_000
BODIES: dict[str, Callable[[], Document]] = {
    "/jobs": submission,
    "/jobs/batch": lambda: {"jobs": [submission()]},
    "/workflows": lambda: {"name": fresh("flow"), "jobs": [step("a", "waits")]},
    "/workers/register": lambda: {
        "worker_id": fresh("worker"), "hostname": "h", "pid": 1, "version": "1", "max_concurrent_jobs": 1, "queues": ["q"],
    },
    "/workers/nobody/heartbeat": lambda: {"cpu_percent": 1, "memory_percent": 1},
    "/dlq/requeue": lambda: {"queue": "q"},
}  # fmt: skip
"""For each endpoint that takes a body, one that is good."""


MAY_BE_EMPTY = SMALL = {"/workers/nobody/heartbeat", "/dlq/requeue"}


@pytest.fixture(autouse=True)
def nothing_is_stored(api: Api) -> Iterator[None]:
    """Whether the system after the test is the one before it."""

    def stored() -> tuple[Any, ...]:
        workers = api.get("/workers").json()["workers"]
        queues = api.get("/queue/stats").json()["queues"]
        return (
            [flow["workflow_id"] for flow in api.get("/workflows", limit=500).json()["data"]],
            sorted((worker["incarnation_id"], worker["status"]) for worker in workers),
            {name: queue["paused"] for name, queue in queues.items()},
        )

    before, started = stored(), datetime.now(UTC).isoformat()
    yield
    assert api.jobs(created_after=started) == []
    assert stored() == before


# What is no JSON, or no JSON that can be kept.

NOT_JSON = {
    "nothing": b"",
    "space": b" \n",
    "half an object": b'{"type":"x",',
    "half a string": b'{"type":"x',
    "half a word": b"nul",
    "two values": b'{"type":"x"} {}',
    "a comma too many": b'{"type":"x",}',
    "single quotes": b"{'type':'x'}",
    "a comment": b'{"type":"x" /* why */}',
    "a leading zero": b'{"priority":01}',
    "hexadecimal": b'{"priority":0x1}',
    "a plus": b'{"priority":+1}',
    "a raw control character": b'{"type":"a\nb"}',
    "a raw NUL": b'{"type":"a\x00b"}',
    "a byte of no alphabet": b'{"type":"\xff"}',
    "an overlong byte": b'{"type":"\xc0\x80"}',
    "a raw surrogate": b'{"type":"\xed\xa0\x80"}',
    "UTF-16": '{"type":"x"}'.encode("utf-16"),
    "UTF-32": '{"type":"x"}'.encode("utf-32"),
    "a half pair": rb'{"type":"\ud800"}',
    "the other half": rb'{"type":"\udc00x"}',
    "a half pair as key": rb'{"\ud800":1}',
    "an escape that is none": rb'{"type":"\x41"}',
    "lists ten thousand deep": b"[" * 10_000 + b"]" * 10_000,
    "lists that never close": b"[" * 100_000,
    "objects ten thousand deep": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "binary": bytes(range(256)),
}


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_no_json(api: Api, body: bytes) -> None:
    for path in BODIES:
        answer = api.post_raw(path, body)
        if path in MAY_BE_EMPTY and not body.strip():
            assert answer.status_code < 500
        elif path in SMALL and len(body) > 65_536:
            refused(answer, "body", status=413)
        else:
            refused(answer, "body")


@pytest.mark.parametrize("path", BODIES)
def test_what_is_no_number(api: Api, path: str) -> None:
    first = next(iter(BODIES[path]()))
    for number in ("NaN", "Infinity", "-Infinity"):
        refused(api.post_raw(path, f'{{"{first}":{number}}}'.encode()), first)


@pytest.mark.parametrize("path", BODIES)
def test_what_is_no_object(api: Api, path: str) -> None:
    for body in ("[]", "[{}]", '"x"', "1", "0.5", "true", "null"):
        assert "object" in refused(api.post_raw(path, body.encode()), "body")["message"]


@pytest.mark.parametrize("path", BODIES)
def test_unknown_fields(api: Api, path: str) -> None:
    good = BODIES[path]()
    error = refused(api.post(path, {**good, "priorty": 3}), "priorty")
    assert error["value"] == 3


@pytest.mark.parametrize("path", BODIES)
def test_a_name_that_comes_twice_in_an_object(api: Api, path: str) -> None:
    body = orjson.dumps(BODIES[path]())
    first = next(iter(BODIES[path]()))
    error = refused(api.post_raw(path, b"%s,%s" % (body[:-1], body[1:])), first)
    assert "more than once" in error["message"]


def test_a_name_that_comes_twice_somewhere_inside(api: Api) -> None:
    job = '{"type":"x","idempotency_key":"k","payload":{"list":[0,{"a":1,"b":{"c":1,"c":1}}]}}'
    refused(api.post_raw("/jobs", job.encode()), "payload.list[1].b.c")
    refused(api.post_raw("/jobs/batch", f'{{"jobs":[{job}]}}'.encode()), "jobs[0].payload.list[1].b.c")


@pytest.mark.parametrize(
    "payload",
    [
        r'{"a":1,"a":2}', r'{"n":{"a":1,"a":1}}', r'{"n":[{"b":1,"b":2}]}',
        r'{"a":NaN}', r'{"a":[Infinity]}', r'{"a":1e400}', r'{"a":-1e400}', r'{"a":"\ud800"}', r'{"\udfff":1}',
        r'{"a":"\u0000"}', r'{"\u0000":1}', r'{"a":["x\u0000y"]}', '{"a":' + "[" * 10_000 + "]" * 10_000 + "}",
    ],
    ids=lambda payload: payload[:30],
)  # fmt: skip
def test_payloads_that_cannot_be_kept(api: Api, payload: str) -> None:
    for body in (
        f'{{"type":"x","idempotency_key":"{fresh("k")}","payload":{payload}}}',
        f'{{"jobs":[{{"type":"x","idempotency_key":"{fresh("k")}","payload":{payload}}}]}}',
    ):
        path = "/jobs/batch" if body.startswith('{"jobs"') else "/jobs"
        document = problem(api.post_raw(path, body.encode()), 422)
        assert document["errors"]
    for member in ("config", "jobs"):
        inner = payload if member == "config" else f'[{{"key":"a","type":"x","payload":{payload}}}]'
        body = f'{{"name":"{fresh("flow")}","{member}":{inner}}}'
        problem(api.post_raw("/workflows", body.encode()), 422)


# Fields of a job.

FAR = "1" * 400
FIELDS: list[tuple[str, list[str]]] = [
    ("type", ["null", "1", "true", "[]", "{}", '""', '"' + "x" * 201 + '"', r'"a\u0000b"', r'"\ud800"']),
    ("idempotency_key", ["null", "1", "[]", '""', '"' + "x" * 256 + '"', r'"a\u0000b"']),
    ("payload", ["null", "[]", '"{}"', "1", "true"]),
    ("queue", ["null", "1", '""', "[]", r'"a\u0000b"', '"' + "x" * 300 + '"']),
    ("retry_policy", ["null", "1", '""', '"linear"', '"FIXED"', "[]"]),
    *((name, ["null", '"5"', "true", "1.5", "-1", "1e2", "1e400", FAR, f"-{FAR}", "[]", "{}", '""', "2147483648",
        "9223372036854775808", str(most + 1)]) for name, most in (("priority", 10), ("max_retries", 100))),
    *((name, ["null", '"5"', "true", "-1", "-0.001", "1e400", FAR, "[]", "{}", '""'])
        for name in ("timeout_seconds", "retry_base_seconds", "retry_max_seconds")),
    ("timeout_seconds", ["0", "0.0", "-0.0", "1e-400"]),
    ("scheduled_at", ["1", "1790000000", "true", "[]", '""', '"soon"', '"2026-01-01"', '"2026-01-01T00:00:00"',
        '"2026-01-01 00:00:00"', '"2026-02-30T00:00:00Z"', '"2026-01-01T25:00:00Z"', '"2026-01-01T00:00:00+25:00"',
        '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"0000-01-01T00:00:00Z"',
        '"294277-01-01T00:00:00Z"', '"-0001-01-01T00:00:00Z"', '"2026-01-01T00:00:00Z "', '"20260101T000000Z"',
        '"2026-W01-1T00:00:00Z"', '"1790000000"', '"2026-01-01T00:00:00[Europe/Berlin]"', r'"2026-01-01T00:00:00Z\u0000"',
        '"٢٠٢٦-01-01T00:00:00Z"']),
    ("workflow_id", ["1", '""', '"x"', "[]", '"0198c0de-0000-7000-8000-00000000000"', '"0198c0de-0000-7000-8000-0000000000000"',
        '"{0198c0de-0000-7000-8000-000000000000}"', '"urn:uuid:0198c0de-0000-7000-8000-000000000000"',
        '"0198c0de000070008000000000000000"', r'"0198c0de-0000-7000-8000-00000000000\u0000"']),
    ("depends_on", ["1", '"x"', "{}", "true", '"0198c0de-0000-7000-8000-000000000000"']),
    *((name, ['"x"', "1", "[]"]) for name in ("job_id", "status", "attempt", "created_at", "trace_id", "result", "lease_token")),
]  # fmt: skip
CASES = [(field, value) for field, values in FIELDS for value in values]


@pytest.mark.parametrize(("field", "value"), CASES, ids=[f"{field}={value[:40]}" for field, value in CASES])
def test_fields_of_a_job(api: Api, field: str, value: str) -> None:
    members = {"type": '"x"', "idempotency_key": f'"{fresh("key")}"', field: value}
    body = "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"
    answer = api.post_raw("/jobs", body.encode())
    if value == r'"\ud800"':
        problem(answer, 422)
        return
    error = refused(answer, field)
    if field not in {"job_id", "status", "attempt", "created_at", "trace_id", "result", "lease_token"}:
        assert not re.search(r"not a known|unknown", error["message"])


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("priority", 11, "10"), ("max_retries", 101, "100"), ("retry_policy", "linear", "exponential"),
        ("timeout_seconds", 0, "0"), ("type", "", "1"), ("type", "x" * 201, "200"), ("idempotency_key", "x" * 256, "255"),
        ("scheduled_at", "2026-01-01T00:00:00", "offset"), ("workflow_id", "x", "UUID"), ("priority", "5", "integer"),
        ("timeout_seconds", "5", "number"), ("payload", [], "object"), ("priority", True, "integer"),
        ("priority", 1.0, "integer"),
    ],
)  # fmt: skip
def test_a_refusal_names_field_value_and_what_is_allowed(
    api: Api, field: str, value: Any, allowed: str
) -> None:
    error = refused(api.post("/jobs", submission(**{field: value})), field)
    assert allowed in error["message"]
    shown = error["value"]
    assert shown == value or str(value).startswith(str(shown)[:50])


def test_fields_that_must_be_there(api: Api) -> None:
    errors = problem(api.post("/jobs", {}), 422)["errors"]
    assert {error["field"] for error in errors} == {"type", "idempotency_key"}


def test_elements_of_a_list_are_named(api: Api) -> None:
    good = str(uuid.uuid4())
    for bad in ("x", 1, None, "", [good]):
        body = submission(workflow_id=good, depends_on=[good, bad])
        refused(api.post("/jobs", body), "depends_on[1]")


def test_a_pool_of_mistakes_is_named_whole(api: Api) -> None:
    body = {"type": 1, "idempotency_key": "", "priority": 11, "queue": [], "typo": 1}
    errors = problem(api.post("/jobs", body), 422)["errors"]
    assert {error["field"] for error in errors} >= {"type", "queue", "typo"}


# A megabyte in each place that takes a string.


@pytest.mark.parametrize(
    "field",
    ["type", "idempotency_key", "queue", "retry_policy", "scheduled_at", "workflow_id", "priority", "timeout_seconds", "payload", "depends_on"],
)  # fmt: skip
def test_a_megabyte_in_a_field_of_a_job(api: Api, field: str) -> None:
    too_long: dict[str, Any] = {field: MEGABYTE}
    answer = api.post("/jobs", submission(**too_long))
    assert len(str(refused(answer, field).get("value", ""))) < 10_000
    answer = api.post("/jobs/batch", {"jobs": [submission(**too_long)]})
    refused(answer, f"jobs[0].{field}")
    answer = api.post("/workflows", {"name": fresh("flow"), "jobs": [step("a", **too_long)]})
    refused(answer, f"jobs[0].{field}")


def test_a_megabyte_in_a_dependency(api: Api) -> None:
    refused(api.post("/jobs", submission(depends_on=[MEGABYTE])), "depends_on[0]")
    answer = api.post("/workflows", {"name": fresh("flow"), "jobs": [step("a", after=(MEGABYTE,))]})
    problem(answer, 422)


@pytest.mark.parametrize("path", BODIES)
def test_a_megabyte_as_the_name_of_a_field(api: Api, path: str) -> None:
    problem(api.post(path, {**BODIES[path](), MEGABYTE: 1}), 413 if path in SMALL else 422)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/workflows", "name"), ("/workflows", "description"), ("/workflows", "config"), ("/workflows", "jobs"),
        ("/workers/register", "worker_id"), ("/workers/register", "hostname"), ("/workers/register", "pid"),
        ("/workers/register", "version"), ("/workers/register", "queues"), ("/workers/register", "max_concurrent_jobs"),
        ("/workers/nobody/heartbeat", "cpu_percent"), ("/dlq/requeue", "type"), ("/dlq/requeue", "queue"),
        ("/dlq/requeue", "error_kind"), ("/jobs/batch", "jobs"),
    ],
)  # fmt: skip
def test_a_megabyte_in_any_other_field(api: Api, path: str, field: str) -> None:
    answer = api.post(path, {**BODIES[path](), field: MEGABYTE})
    refused(answer, *(("body", 413) if path in SMALL else (field, 422)))


def test_a_megabyte_in_nested_names(api: Api) -> None:
    answer = api.post("/workflows", {"name": fresh("flow"), "jobs": [step(MEGABYTE)]})
    refused(answer, "jobs[0].key")
    answer = api.post("/workers/register", {**BODIES["/workers/register"](), "queues": [MEGABYTE]})
    refused(answer, "queues[0]")
    answer = api.post("/workflows", {"name": fresh("flow"), "config": {"a": MEGABYTE * 2}})
    refused(answer, "config", status=413)
    answer = api.post(
        "/workflows", {"name": fresh("flow"), "jobs": [step("a"), step("b", payload={"a": MEGABYTE * 2})]}
    )
    refused(answer, "jobs[1].payload", status=413)


QUERIES = [
    *(("GET", "/jobs", name) for name in ("status", "type", "queue", "workflow_id", "worker_id", "created_after", "created_before",
        "limit", "cursor", "nonsense")),
    *(("GET", "/dlq", name) for name in ("type", "queue", "error_kind", "limit", "cursor")),
    *(("GET", "/workflows", name) for name in ("status", "name", "limit", "cursor")),
    ("GET", "/workers", "status_filter"), ("POST", "/queue/purge", "queue"), ("POST", "/dlq/requeue", "type"),
    ("POST", "/dlq/requeue", "queue"), ("POST", "/dlq/requeue", "error_kind"),
    ("GET", "/jobs/0198c0de-0000-7000-8000-000000000000", "wait"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "name"), QUERIES)
def test_a_long_query(api: Api, method: str, path: str, name: str) -> None:
    answer = api.http.request(method, f"/api/v1{path}?{name}={'x' * 50_000}")
    assert answer.status_code in {414, 422}
    problem(answer, answer.status_code)


@pytest.mark.parametrize(("method", "path", "name"), QUERIES)
def test_bytes_of_no_alphabet_in_a_query(api: Api, method: str, path: str, name: str) -> None:
    for value in ("%00", "a%00b", "%FF", "%ED%A0%80", "%F4%90%80%80"):
        answer = api.http.request(method, f"/api/v1{path}?{name}={value}")
        assert problem(answer, 422)["errors"][0]["field"].split("[")[0] == name


@pytest.mark.parametrize(
    ("method", "path", "name"), [case for case in QUERIES if case[2] not in {"status", "nonsense"}]
)
def test_a_parameter_that_comes_twice(api: Api, method: str, path: str, name: str) -> None:
    good = {"limit": "5", "wait": "0", "status_filter": "active"}.get(name, "x")
    answer = api.http.request(method, f"/api/v1{path}?{name}={good}&{name}={good}")
    refused(answer, name)


PATHS = [
    ("GET", "/jobs/{}"), ("GET", "/jobs/{}/events"), ("POST", "/jobs/{}/cancel"), ("POST", "/jobs/{}/retry"),
    ("POST", "/dlq/{}/requeue"), ("DELETE", "/dlq/{}"), ("GET", "/workflows/{}"), ("GET", "/workflows/{}/status"),
    ("POST", "/workflows/{}/cancel"), ("POST", "/workflows/{}/retry"), ("POST", "/workers/{}/drain"),
    ("POST", "/workers/{}/heartbeat"), ("POST", "/queues/{}/pause"), ("POST", "/queues/{}/resume"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_names_in_a_path(api: Api, method: str, path: str) -> None:
    body = BODIES["/workers/nobody/heartbeat"]() if path.endswith("heartbeat") else None
    for name in ("x" * 1000, "x" * 50_000, "%00", "%FF", "%ED%A0%80"):
        answer = api.http.request(method, "/api/v1" + path.format(name), json=body)
        assert answer.status_code in {404, 414, 422}
        problem(answer, answer.status_code)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/api/v1/jobs?queue={}"), ("GET", "/api/v1/jobs?cursor={}"), ("GET", "/api/v1/jobs?{}=1"),
        ("GET", "/api/v1/jobs/{}"), ("POST", "/api/v1/queues/{}/pause"), ("GET", "/{}"), ("GET", "/health?{}"),
    ],
)  # fmt: skip
def test_a_megabyte_in_an_address(api: Api, method: str, target: str) -> None:
    head = f"{method} {target.format(MEGABYTE)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = said(api, head.encode())
    assert re.match(rb"HTTP/1\.1 4\d\d ", answer), answer[:100]
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "header", ["traceparent", "tracestate", "x-correlation-id", "content-type", "accept", "x-anything"]
)
def test_a_megabyte_in_a_header(api: Api, header: str) -> None:
    answer = api.http.post("/api/v1/jobs", json={}, headers={header: MEGABYTE})
    assert answer.status_code in {415, 422, 431}
    problem(answer, answer.status_code)


# Bodies too large, and bodies that never come.


def test_a_body_announced_too_large_is_refused_before_it_is_sent(api: Api) -> None:
    for path in ("/jobs", "/jobs/batch", "/workflows", "/workers/register"):
        head = f"POST /api/v1{path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
        answer = said(api, head.encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"application/problem+json" in answer


def test_a_body_that_grows_too_large_is_refused(api: Api) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"type":"'
        for _ in range(4096):
            yield b"x" * 65536

    for path in ("/jobs", "/workers/register"):
        refused(api.post_raw(path, endless()), "body", status=413)


def test_a_body_beyond_the_limit_with_its_length(api: Api) -> None:
    refused(api.post_raw("/jobs", b'{"type":"' + b"x" * 8_000_000 + b'"}'), "body", status=413)


def said(api: Api, *parts: bytes) -> bytes:
    """What the server answers to bytes sent as they are, then cut off.

    A server that closes with bytes of ours unread resets the connection: what it had said until then counts.
    """
    address = urlsplit(str(api.http.base_url))
    with socket.create_connection(
        (address.hostname or "", address.port or 0), timeout=PATIENCE_SECONDS
    ) as connection:
        received = b""
        with contextlib.suppress(OSError):  # the server was faster, and has closed
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
        return received


HEAD = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = b'{"type":"x","idempotency_key":"cut-off"}'


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(BODY), BODY)),
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s" % (len(BODY) + 100, BODY)),
        (HEAD, b"Content-Length: 1000\r\n\r\n", BODY),
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n", BODY),
        (HEAD, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"%x\r\n%s\r\n" % (len(BODY), BODY)),
        (HEAD, b"Content-Length: -5\r\n\r\n", BODY),
        (HEAD, b"Content-Length: five\r\n\r\n", BODY),
        (HEAD[:40],),
        (b"\x16\x03\x01\x02\x00\x01\x00",),
    ],
    ids=["a chunk too few", "half a chunk", "half a body", "no chunk", "two lengths", "a negative length", "no length", "half a head", "TLS"],
)  # fmt: skip
def test_requests_cut_off_store_nothing(api: Api, parts: tuple[bytes, ...]) -> None:
    answer = said(api, *parts)
    assert not answer or (answer.startswith(b"HTTP/1.1 4") and b"application/problem+json" in answer)
    assert api.http.get("/health").status_code == 200


def test_a_chunked_body_is_a_body(api: Api) -> None:
    answer = api.post_raw("/jobs", iter([b'{"type":', b'"x"', b',"priority":99}']))
    assert problem(answer, 422)["errors"]
