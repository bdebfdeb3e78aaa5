from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from schedora.application.errors import TooLarge
from schedora.entrypoints.api.body import batch_limit_bytes, field_path, read_body, single_limit_bytes
from schedora.entrypoints.api.problems import Refused
from tests.unit.entrypoints.api.conftest import Api, problem


def a_request(*chunks: bytes, disconnects: bool = False, **headers: str) -> Request:
    """Its body comes in these chunks, unless its caller leaves in the middle."""

    def messages() -> Iterator[Message]:
        for index, chunk in enumerate(chunks):
            more = disconnects or index < len(chunks) - 1
            yield {"type": "http.request", "body": chunk, "more_body": more}
        yield {"type": "http.disconnect"}

    waiting = messages()

    async def receive() -> Message:
        return next(waiting)

    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": encoded}, receive)


async def test_a_body_is_read_whole() -> None:
    assert await read_body(a_request(b"{", b"", b"}", content_type="application/json"), 10) == b"{}"
    assert await read_body(a_request(b"0123456789", content_type="application/json"), 10) == b"0123456789"
    assert await read_body(a_request(b""), 10) == b""


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    request = a_request(content_length="11")

    with pytest.raises(TooLarge):
        await read_body(request, 10)
    assert (await request.receive())["type"] == "http.disconnect"


@pytest.mark.parametrize("claimed", ["1", "0", "-1", "x", "", "9" * 30, "²"])
async def test_a_body_that_is_longer_than_it_claims_is_not_kept(claimed: str) -> None:
    request = a_request(b"01234", b"56789", b"0", b"never read", content_length=claimed)

    with pytest.raises(TooLarge):
        await read_body(request, 10)
    assert (await request.receive())["body"] == b"never read"


async def test_a_caller_who_leaves_in_the_middle() -> None:
    with pytest.raises(ClientDisconnect):
        await read_body(a_request(b"{", disconnects=True), 10)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json", "APPLICATION/JSON ; charset=utf-8", 'application/json;charset="UTF-8"',
        "application/json; boundary=x", "application/merge-patch+json", "application/json; charset=US-ASCII",
    ],
)  # fmt: skip
async def test_json_is_taken(media_type: str) -> None:
    assert await read_body(a_request(b"{}", content_type=media_type), 10) == b"{}"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json",
        "application/json; charset=utf-16", "application/json; charset=", "text/plain; x=application/json",
    ],
)  # fmt: skip
async def test_what_is_said_to_be_no_json_is_refused(media_type: str) -> None:
    with pytest.raises(Refused) as caught:
        await read_body(a_request(b"{}", content_type=media_type), 10)
    assert caught.value.problem.status == 415


async def test_a_body_whose_kind_is_not_told_is_json_unless_a_browser_sends_it() -> None:
    assert await read_body(a_request(b"{}"), 10) == b"{}"
    with pytest.raises(Refused, match="application/json"):
        await read_body(a_request(b"{}", origin="https://example.org"), 10)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd, identity", ""])
async def test_a_compressed_body_is_refused(coding: str) -> None:
    with pytest.raises(Refused, match="as it is"):
        await read_body(a_request(b"{}", content_type="application/json", content_encoding=coding), 10)


async def test_a_body_may_be_said_to_be_sent_as_it_is() -> None:
    request = a_request(b"{}", content_type="application/json", content_encoding="Identity")
    assert await read_body(request, 10) == b"{}"


async def test_no_body_is_of_no_kind() -> None:
    assert await read_body(a_request(b"", content_type="text/plain"), 10) == b""


def test_a_payload_at_its_limit_fits_however_it_is_written() -> None:
    assert single_limit_bytes(1_000) >= 6 * 1_000
    assert batch_limit_bytes(1_000) == 64 * 1024 * 1024
    assert batch_limit_bytes(100_000_000) > 600_000_000


async def test_an_endless_body_is_cut_off(api: Api, app: FastAPI) -> None:
    read_bytes = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read_bytes
        while True:
            read_bytes += 10_000
            yield b"x" * 10_000

    answer = await api.post("/jobs", content=endless())

    problem(answer, 413, "body")
    assert read_bytes < 100_000 + single_limit_bytes(2_000)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        (("jobs", 3, "priority"), "jobs[3].priority"),
        (("payload",), "payload"),
        ((), "body"),
        (("x" * 100,), "x" * 79 + "…"),
    ],
)
def test_where_something_is_wrong(location: tuple[int | str, ...], path: str) -> None:
    assert field_path(location) == path
