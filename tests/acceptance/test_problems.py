"""Refusals that have nothing to do with a field: wrong addresses, methods, kinds of body."""

import json

import pytest

from tests.acceptance.api import Api, fresh, problem, submission


@pytest.mark.parametrize(
    "path",
    [
        "/", "/nowhere", "/api", "/api/v1", "/api/v1/", "/api/v1/job", "/api/v2/jobs", "/api/v1/jobs/x/y/z",
        "/health/", "/api/v1/jobs/", "/docs/x", "/static/../../etc/passwd", "/%00", "/%FF", "/" + "x" * 5000, "//", "/api/v1/jobs//cancel",
    ],
)  # fmt: skip
def test_unknown_addresses(api: Api, path: str) -> None:
    answer = api.http.get(path, follow_redirects=False)
    problem(answer, 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/jobs", {"GET", "POST"}), ("DELETE", "/api/v1/jobs", {"GET", "POST"}),
        ("PATCH", "/api/v1/jobs/batch", {"POST"}),
        ("DELETE", "/api/v1/jobs/0198c0de-0000-7000-8000-000000000000", {"GET"}),
        ("GET", "/api/v1/jobs/0198c0de-0000-7000-8000-000000000000/cancel", {"POST"}),
        ("POST", "/api/v1/jobs/0198c0de-0000-7000-8000-000000000000", {"GET"}),
        ("GET", "/api/v1/dlq/0198c0de-0000-7000-8000-000000000000", {"DELETE"}),
        ("POST", "/api/v1/queue/stats", {"GET"}), ("GET", "/api/v1/queue/purge", {"POST"}),
        ("POST", "/api/v1/workers", {"GET"}), ("GET", "/api/v1/workers/register", {"POST"}),
        ("POST", "/health", {"GET"}), ("POST", "/metrics", {"GET"}), ("POST", "/openapi.json", {"GET"}),
        ("POST", "/docs", {"GET"}), ("OPTIONS", "/api/v1/jobs", {"GET", "POST"}), ("TRACE", "/api/v1/jobs", {"GET", "POST"}),
    ],
)  # fmt: skip
def test_wrong_methods_are_told_which_are_right(api: Api, method: str, path: str, allowed: set[str]) -> None:
    answer = api.http.request(method, path)
    assert method in problem(answer, 405)["detail"]
    assert set(answer.headers["allow"].replace(" ", "").split(",")) - {"HEAD"} == allowed


def test_methods_of_no_standard(api: Api) -> None:
    problem(api.http.request("BREW", "/api/v1/jobs"), 400)


@pytest.mark.parametrize(
    "content_type",
    [
        "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
        "application/octet-stream", "json", "application/jsonx", "text/json", "application/json; charset=utf-16", "x" * 5000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/jobs", "/jobs/batch", "/workflows", "/workers/register"])
def test_bodies_of_other_kinds(api: Api, path: str, content_type: str) -> None:
    problem(api.post_raw(path, b'{"type":"x"}', content_type), 415)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=UTF-8",
     'application/json; charset="utf-8"', "application/vnd.api+json"],
)  # fmt: skip
def test_json_under_its_names(api: Api, content_type: str) -> None:
    body = submission(queue=fresh("json"))
    answer = api.http.post(
        "/api/v1/jobs", content=f'{{"type":"x","idempotency_key":"{body["idempotency_key"]}"}}',
        headers={"content-type": content_type},
    )  # fmt: skip
    assert answer.status_code == 201, answer.text


def test_what_a_program_says_nothing_of_is_json(api: Api) -> None:
    problem(api.post_raw("/jobs", b"{", None), 422)


def test_a_foreign_page_can_not_submit(api: Api) -> None:
    body = submission(queue=fresh("foreign"))
    answer = api.http.post(
        "/api/v1/jobs", content=json.dumps(body), headers={"origin": "https://example.org"}
    )
    problem(answer, 415)
    assert api.get("/jobs", queue=body["queue"]).json()["data"] == []


def test_a_compressed_body_is_refused(api: Api) -> None:
    answer = api.http.post(
        "/api/v1/jobs",
        content=b"\x1f\x8b",
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    problem(answer, 415)


def test_answers_have_their_own_type_whatever_is_asked_for(api: Api) -> None:
    for accept in ("text/html", "*/*", "application/xml", ""):
        problem(api.http.get("/nowhere", headers={"accept": accept}), 404)


def test_no_answer_tells_what_the_server_is_made_of(api: Api) -> None:
    headers = api.http.get("/health").headers
    assert "server" not in headers
    assert "x-powered-by" not in headers


def test_a_problem_names_its_kind(api: Api) -> None:
    kinds = {
        problem(api.get("/jobs", limit=0), 422)["type"], problem(api.http.get("/nowhere"), 404)["type"],
        problem(api.http.put("/health"), 405)["type"], problem(api.post_raw("/jobs", b"{", "text/plain"), 415)["type"],
        problem(api.post_raw("/jobs", b"{"), 422)["type"],
    }  # fmt: skip
    assert len(kinds) == 5
