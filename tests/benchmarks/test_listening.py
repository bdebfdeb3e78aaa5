"""A listener counts events however they are cut on their way, and tells when a stream does not begin."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from benchmarks import listening
from benchmarks.drivers import Broken


@contextmanager
def serving(parts: Sequence[bytes]) -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """A server that sends these to one client, each on its own; the request that it got; whether all is sent."""
    requests: list[bytes] = []
    sent = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                requests.append(client.recv(4096))
                for part in parts:
                    client.sendall(part)
                sent.set()
                client.recv(1)  # until it leaves

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/api/v1/events", requests, sent
        thread.join()


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_events_are_counted_however_they_are_cut(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(listening, "QUIET_SECONDS", 2)
    stream = b"retry: 1000\n\nevent: ready\ndata: {}\n\n" + b'event: job\ndata: {"event: job": 1}\n\n' * 50
    parts = [stream[start : start + size] for start in range(0, len(stream), size)]
    with serving(parts) as (url, requests, sent), listening.listening(url) as heard:
        assert sent.wait(60)
        assert heard.all_of_it() == {"ready": 1, "job": 50}
    assert requests[0].startswith(b"GET /api/v1/events HTTP/1.1\r\n")
    assert b"Accept: text/event-stream\r\n" in requests[0]


def test_a_stream_that_is_not_ready_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "READY_SECONDS_MAX", 2)
    with (
        serving([b"event: gap\ndata: {}\n\n"]) as (url, *_),
        pytest.raises(Broken, match=r"is not ready after 2 s: \{'gap': 1\}"),
        listening.listening(url),
    ):
        pass
