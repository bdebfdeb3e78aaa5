"""The API on a real socket."""

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from unittest.mock import patch

import httpx
import pytest
import structlog

from schedora.entrypoints.api import service as api_service
from schedora.entrypoints.api.service import ApiService, PortInUse, listen, url_of
from schedora.entrypoints.system import System
from tests.programs import PATIENCE_SECONDS
from tests.unit.entrypoints.api.conftest import Api, submit
from tests.unit.entrypoints.api.following import until


@pytest.fixture
async def port(system: System) -> AsyncIterator[int]:
    listening = listen("127.0.0.1", 0)
    port: int = listening.getsockname()[1]
    ready = asyncio.Event()
    service = ApiService(system, listening, on_ready=lambda _: ready.set())
    running = asyncio.create_task(service.run())
    await ready.wait()
    yield port
    service.stop()
    await running


def port_of(service: ApiService) -> int:
    port: int = service._listening.getsockname()[1]
    return port


async def said(port: int, request: bytes) -> tuple[bytes, dict[str, str], bytes]:
    """First line, headers and body of what the server answers before it closes.

    One that closes with bytes of ours unread resets the connection: what it had said until then counts.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    received = b""
    with suppress(ConnectionError):
        while more := await reader.read(65_536):
            received += more
    head, _, body = received.partition(b"\r\n\r\n")
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    first, *lines = head.split(b"\r\n")
    headers = dict(line.decode().split(": ", 1) for line in lines)
    return first, headers, body


async def test_requests_are_answered(port: int) -> None:
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    first, headers, body = await said(port, request)
    assert (first, json.loads(body)) == (b"HTTP/1.1 200 OK", {"data": {"status": "alive"}})
    assert "server" not in headers


@pytest.mark.parametrize(
    "request_",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"BREW / HTTP/1.1\r\n\r\n", b"GET / HTTP/9\r\n\r\n",
     b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"GET / x HTTP/1.1\r\n\r\n"],
    ids=["TLS", "no method", "no version", "no length", "no end"],
)  # fmt: skip
async def test_what_is_no_http_gets_a_problem(port: int, request_: bytes) -> None:
    with structlog.testing.capture_logs() as lines:
        first, headers, body = await said(port, request_)
    assert first == b"HTTP/1.1 400 Bad Request"
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")
    assert int(headers["content-length"]) == len(body)
    told = json.loads(body)
    assert (told["status"], told["errors"]) == (400, [])
    assert [line["trace_id"] for line in lines if line["event"] == "request refused"] == [told["trace_id"]]


async def test_who_waits_for_a_job_when_the_server_stops_gets_it_as_it_is(
    service: ApiService, api: Api, system: System
) -> None:
    job = await submit(api)
    request = b"GET /api/v1/jobs/%b?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n" % job["job_id"].encode()
    asked = asyncio.create_task(said(port_of(service), request))
    await until(lambda: system.endings.waiting, "it to wait")
    service.stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        first, headers, body = await asked
    assert (first, headers["connection"]) == (b"HTTP/1.1 200 OK", "close")
    assert json.loads(body)["data"]["status"] == "PENDING"


async def test_what_takes_too_long_when_the_server_stops_is_told_to_come_again(
    service: ApiService, caplog: pytest.LogCaptureFixture
) -> None:
    service._server.config.timeout_graceful_shutdown = 0.01  # type: ignore[assignment] # it may be a part of a second
    asked = asyncio.create_task(
        said(port_of(service), b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    )
    await until(lambda: service._server.server_state.tasks, "it to be under way")
    service.stop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        first, headers, body = await asked
    assert first == b"HTTP/1.1 503 Service Unavailable"
    assert (headers["content-type"], headers["retry-after"]) == ("application/problem+json", "1")
    assert json.loads(body)["detail"].startswith("The server is stopping")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_connection_is_kept_for_longer_than_clients_keep_it(service: ApiService) -> None:
    """Else it is closed under their next request."""
    assert service._server.config.timeout_keep_alive > httpx.Limits().keepalive_expiry  # type: ignore[operator]


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"127\.0\.0\.1:{port}: another program"):
            listen("127.0.0.1", port)


def test_a_host_that_is_not_here_is_named() -> None:
    with pytest.raises(PortInUse, match=r"203\.0\.113\.1:0"):
        listen("203.0.113.1", 0)


def test_a_port_that_is_not_allowed_is_named() -> None:
    refusal = OSError(errno.EACCES, "Permission denied")
    with patch.object(socket.socket, "bind", side_effect=refusal), pytest.raises(PortInUse) as caught:
        listen("127.0.0.1", 80)
    assert str(caught.value) == "can't listen on 127.0.0.1:80: Permission denied"


def test_a_host_that_has_no_address_is_named() -> None:
    with pytest.raises(PortInUse, match=r"no-such-host\.invalid:0"):
        listen("no-such-host.invalid", 0)


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_where_it_listens(host: str, start: str) -> None:
    try:
        listening = listen(host, 0)
    except PortInUse:  # pragma: no cover - only where the machine has no IPv6
        pytest.skip(f"this machine has no {host}")
    with listening:
        assert url_of(listening).startswith(start)


async def test_spans_of_requests_that_the_store_does_not_take_are_said(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hang(_: object, served: object) -> None:
        hanging.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(type(system.request_spans), "keep", hang)
    monkeypatch.setattr(api_service, "GRACE_SECONDS", 0.01)
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    ready = asyncio.Event()
    service = ApiService(system, listening, on_ready=lambda _: ready.set())
    running = asyncio.create_task(service.run())
    await ready.wait()
    body = b'{"type":"work","idempotency_key":"k"}'
    await said(
        port,
        b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    )
    with structlog.testing.capture_logs() as lines:
        service.stop()
        await running
    assert hanging.is_set()
    assert [line["spans"] for line in lines if line["event"].endswith("lost")] == [1]
