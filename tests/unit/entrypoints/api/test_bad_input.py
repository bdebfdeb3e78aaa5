"""What must never be a 500, and never leave anything half-written: each a clear 4xx."""

import json
from typing import Any

import pytest

from tests.unit.entrypoints.api.conftest import JSON, Api, a_submission, problem, submit

DEEP = 10_000

BODIES = {
    "empty": b"",
    "blank": b"  \n",
    "null": b"null",
    "a list": b"[]",
    "a string": b'"job"',
    "a number": b"1",
    "cut off": b'{"type": "work", "idempotency_key": "k',
    "twice": b"{}{}",
    "a comment": b'{"type": "work" /* mail */}',
    "single quotes": b"{'type': 'work'}",
    "a trailing comma": b'{"type": "work",}',
    "a byte order mark": b'\xef\xbb\xbf{"type": "work", "idempotency_key": "k1"}',
    "invalid UTF-8": b'{"type": "\xff\xfe", "idempotency_key": "k1"}',
    "UTF-16": '{"type": "work", "idempotency_key": "k1"}'.encode("utf-16"),
    "a raw NUL": b'{"type": "wo\x00rk", "idempotency_key": "k1"}',
    "a raw newline": b'{"type": "wo\nrk", "idempotency_key": "k1"}',
    "a lone surrogate": b'{"type": "work", "idempotency_key": "\\ud800"}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep without end": b"[" * DEEP,
    "gzip": b"\x1f\x8b\x08\x00",
}

PATHS = [
    "/jobs", "/jobs/batch", "/workflows", "/workers/register",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_no_object(api: Api, path: str, body: bytes) -> None:
    answer = await api.post(path, content=body, headers=JSON)

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]
    assert (await api.get("/jobs")).json()["data"] == []


VALUES: dict[str, list[str]] = {
    "type": ["1", "true", "null", "[]", "{}", '""', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"'],
    "idempotency_key": ["1", "null", '""', '"a\\u0000b"', '"\\udfff"'],
    "queue": ["1", "null", '""', '"a\\u0000b"', '"\\ud800x"'],
    "payload": [
        "null", "[]", '"{}"', "1", '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 1e400}', '{"a": -1e400}',
        '{"a": "\\u0000"}', '{"a\\u0000": 1}', '{"a": ["\\u0000"]}', '{"a": {"b\\u0000": 1}}', '{"a": "\\ud800"}',
        '{"\\udfff": 1}', '{"a": ' + "[" * DEEP + "]" * DEEP + "}", '{"a":' * 300 + "1" + "}" * 300,
        '{"a": 1' + "0" * 5_000 + "}", '{"a": 01}', '{"a": .5}', '{"a": +1}', '{"a": undefined}', "{1: 2}",
    ],
    "priority": ["-1", "11", "5.0", "1.5", '"5"', "true", "false", "null", "[5]", "1e1", "9" * 400, "-" + "9" * 400, "NaN"],
    "max_retries": ["-1", "101", "3.0", '"3"', "true", "null", "1e400", "9" * 30],
    "retry_policy": ['"linear"', '"EXPONENTIAL"', "1", "null", '""'],
    "retry_base_seconds": ["-1", '"60"', "true", "null", "NaN", "Infinity", "1e400", "1e308", "-1e308", "31622401"],
    "retry_max_seconds": ["-0.000001", '"60"', "true", "NaN", "-Infinity", "1e400", "1e308", "9" * 400],
    "timeout_seconds": ["0", "-1", '"30"', "true", "null", "NaN", "1e400", "1e308", "1e-9", "31622401"],
    "scheduled_at": [
        '"2030-01-01"', '"2030-01-01T00:00:00"', '"2030-01-01T00:00Z"', '"tomorrow"', '""', "1893456000", '"1893456000"',
        "true", '"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+14:00"', '"1969-12-31T23:59:59Z"',
        '"3000-01-01T00:00:00Z"', '"9999-12-31T23:59:59-12:00"', '"99999-01-01T00:00:00Z"', '"2030-02-30T00:00:00Z"',
        '"2030-01-01T24:00:01Z"', '"2030-01-01T00:00:60Z"', '"2030-01-01T00:00:00+24:00"', '"2030-01-01T00:00:00+99:99"',
        '"2030-01-01T00:00:00Z\\u0000"', '"٢٠٣٠-01-01T00:00:00Z"',
    ],
    "workflow_id": ['"x"', "1", '""', '"0198c0de000070008000000000000000"', '"0198c0de-0000-7000-8000-00000000000g"', "[]"],
    "depends_on": ['"x"', "{}", '["x"]', "[null]", "[[]]", "[1]", '["0198c0de-0000-7000-8000-000000000000"]'],
    "job_id": ['"0198c0de-0000-7000-8000-000000000000"'],
    "status": ['"SUCCESS"'],
    "": ["1"],
    "a\\u0000": ["1"],
}  # fmt: skip

CASES = [
    pytest.param(field, value, id=f"{field}={value[:40]}{'' if len(value) <= 40 else f'({len(value)})'}")
    for field, values in VALUES.items()
    for value in values
]


def body_with(field: str, value: str) -> str:
    """A good submission but for this field, as text: not all of it could be made by an encoder."""
    members = {name: json.dumps(good) for name, good in a_submission().items()} | {field: value}
    return "{" + ", ".join(f'"{name}": {text}' for name, text in members.items()) + "}"


@pytest.mark.parametrize(("field", "value"), CASES)
async def test_a_bad_value(api: Api, field: str, value: str) -> None:
    text = body_with(field, value)

    answer = await api.post("/jobs", content=text.encode(), headers=JSON)

    assert answer.status_code in (413, 422), answer.text
    told = answer.json()
    assert told["errors"], told
    if not told["type"].endswith(("malformed-json", "too-large")):
        assert all(error["field"].startswith(json.loads(f'"{field}"')) for error in told["errors"])
    assert (await api.get("/jobs")).json()["data"] == []


@pytest.mark.parametrize(("field", "value"), CASES)
async def test_a_bad_value_in_a_batch(api: Api, field: str, value: str) -> None:
    text = f'{{"jobs": [{json.dumps(a_submission())}, {body_with(field, value)}]}}'

    answer = await api.post("/jobs/batch", content=text.encode(), headers=JSON)

    assert answer.status_code in (413, 422), answer.text
    told = answer.json()
    if not told["type"].endswith(("malformed-json", "too-large")):
        place = "jobs[1]." + json.loads(f'"{field}"') if field else "jobs[1]"
        assert all(error["field"].startswith(place) for error in told["errors"])
    assert (await api.get("/jobs")).json()["data"] == []


@pytest.mark.parametrize(
    "field",
    [
        "type",
        "idempotency_key",
        "queue",
        "retry_policy",
        "scheduled_at",
        "workflow_id",
        "priority",
        "surprise",
    ],
)
async def test_a_megabyte_in_a_field(api: Api, field: str) -> None:
    bad = a_submission(**{field: "x" * 1_000_000})

    answer = await api.post("/jobs", json=bad)

    assert answer.status_code in (413, 422)
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    "where", ["name", "description", "jobs[0].key", "jobs[0].type", "jobs[1].depends_on"]
)
async def test_a_megabyte_in_a_workflow(api: Api, where: str) -> None:
    long = "x" * 1_000_000
    body: dict[str, Any] = {
        "name": "flow",
        "jobs": [{"key": "a", "type": "work"}, {"key": "b", "type": "work"}],
    }
    match where:
        case "name" | "description":
            body[where] = long
        case "jobs[1].depends_on":
            body["jobs"][1]["depends_on"] = [long]
        case _:
            body["jobs"][0][where.rpartition(".")[2]] = long

    answer = await api.post("/workflows", json=body)

    assert answer.status_code == 422
    assert len(answer.content) < 2_000
    assert (await api.get("/workflows")).json()["data"] == []


@pytest.mark.parametrize("field", ["worker_id", "hostname", "version"])
async def test_a_megabyte_in_a_registration(api: Api, field: str) -> None:
    answer = await api.post("/workers/register", json={"worker_id": "w1"} | {field: "x" * 1_000_000})

    problem(answer, 422, field)
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    "address",
    [
        "/jobs?type=",
        "/jobs?queue=",
        "/jobs?worker_id=",
        "/jobs?cursor=",
        "/jobs/",
        "/workflows?name=",
        "/dlq?error_kind=",
    ],
)
async def test_a_long_string_in_an_address(api: Api, address: str) -> None:
    answer = await api.get(address + "x" * 60_000)

    assert answer.status_code == 422
    assert len(answer.content) < 2_000


async def test_ten_thousand_errors_are_all_named(api: Api) -> None:
    jobs = [{"type": 1} for _ in range(10_000)]

    answer = await api.post("/jobs/batch", json={"jobs": jobs})

    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20_000
    assert len(answer.json()["detail"]) < 1_000


async def test_a_value_is_not_taken_for_what_it_is_not(api: Api) -> None:
    """The whole numbers that priority takes, written so that they stay whole numbers."""
    answer = await api.post("/jobs", content=body_with("priority", "-0").encode(), headers=JSON)

    assert answer.status_code == 201
    assert answer.json()["data"]["priority"] == 0


@pytest.mark.parametrize(
    "header",
    [
        (b"traceparent", b"\xff\xfe"), (b"traceparent", b"00-" + b"a" * 60_000), (b"x-correlation-id", b"\xff" * 1_000),
        (b"accept", b"image/png"), (b"content-length", b"5"), (b"content-type", b"application/json; boundary=\xff"),
        (b"cookie", b"\x00"), (b"accept-language", b"\xff"),
    ],
)  # fmt: skip
async def test_strange_headers_do_no_harm(api: Api, header: tuple[bytes, bytes]) -> None:
    content = json.dumps(a_submission()).encode()

    json_unless_told = [
        (name.encode(), value.encode()) for name, value in JSON.items() if name.encode() != header[0]
    ]

    answer = await api.post("/jobs", content=content, headers=[header, *json_unless_told])

    assert answer.status_code == 201


async def test_a_name_that_is_given_twice(api: Api) -> None:
    body = '{"type":"work","idempotency_key":"k1","payload":{"list":[{"a":1,"a":2}]}}'

    problem(await api.post("/jobs", content=body, headers=JSON), 422, "payload.list[0].a")
    assert (await api.get("/jobs")).json()["data"] == []


async def test_wrong_content_type(api: Api) -> None:
    content = json.dumps(a_submission()).encode()

    problem(await api.post("/jobs", content=content, headers={"content-type": "text/plain"}), 415)
    problem(await api.post("/jobs", data={"type": "work", "idempotency_key": "k1"}), 415)
    problem(await api.post("/jobs", content=content, headers={"origin": "https://example.org"}), 415)


async def test_a_body_of_no_kind_is_taken_for_json(api: Api) -> None:
    assert (await api.post("/jobs", content=json.dumps(a_submission()).encode())).status_code == 201


async def test_a_good_job_is_good(api: Api) -> None:
    """The body that all bad ones above are made from."""
    answer = await api.post("/jobs", content=body_with("priority", "5").encode(), headers=JSON)

    assert answer.status_code == 201


async def test_the_longest_that_is_allowed(api: Api) -> None:
    job = await submit(
        api, type="t" * 200, queue="q" * 200, idempotency_key="k" * 255, scheduled_at="2999-12-31T23:59:59.999999Z",
        max_retries=100, retry_base_seconds=31_622_400, retry_max_seconds=31_622_400, timeout_seconds=31_622_400,
        payload={"a": {"b": [[[["🙂" * 400]]]]}},
    )  # fmt: skip

    assert job["scheduled_at"] == "2999-12-31T23:59:59.999999Z"
    assert job["payload"]["a"]["b"] == [[[["🙂" * 400]]]]


BOMBS = {
    "unknown fields": (
        "/jobs/batch",
        b'{"jobs":[{' + b",".join(b'"f%d":1' % n for n in range(310_000)) + b"}]}",
    ),
    "bad rows": ("/jobs/batch", b'{"jobs":[' + b"{}," * 600_000 + b"{}]}"),
}


@pytest.mark.parametrize(("path", "body"), BOMBS.values(), ids=BOMBS.keys())
async def test_a_body_that_is_wrong_in_very_many_ways_is_told_so_briefly(
    api: Api, path: str, body: bytes
) -> None:
    """Each mistake told would take many times the memory of the body."""
    answer = await api.post(path, content=body, headers=JSON)
    assert answer.status_code == 422
    assert len(answer.content) < 1_000, answer.content[:1_000]
    assert len(answer.json()["errors"]) == 1


async def test_each_row_of_a_batch_may_be_wrong(api: Api) -> None:
    rows = [{"type": 1, "idempotency_key": 2, "priority": "x"}] * 10_000
    answer = await api.post("/jobs/batch", json={"jobs": rows})
    assert answer.status_code == 422
    assert {error["field"].partition(".")[0] for error in answer.json()["errors"]} == {
        f"jobs[{row}]" for row in range(10_000)
    }


async def test_a_batch_of_too_many_rows_to_look_at_is_refused_as_one(api: Api) -> None:
    answer = await api.post("/jobs/batch", json={"jobs": [a_submission()] * 20_001})
    assert problem(answer, 422, "jobs")["detail"].startswith("jobs: must have at most 20000 items")
