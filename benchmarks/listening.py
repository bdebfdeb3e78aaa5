"""A listener to Schedora's stream of events that reads as fast as it comes, and counts without looking into it."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import field, frozen
from benchmarks.drivers import Broken

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READY_SECONDS_MAX = 20.0
QUIET_SECONDS = 1.0
"""After so long without one there are no more."""
_EVENT = re.compile(rb"^event: (\w+)\n", re.MULTILINE)
_MOST_BYTES = 1 << 20


@frozen(kw_only=True)
class Heard:
    """Events by name, counted while they come."""

    counts: Counter[str] = field(factory=Counter)
    ready: threading.Event = field(factory=threading.Event)

    def read(self, connection: socket.socket) -> None:
        """Until the connection is at its end."""
        rest = b""
        while read := connection.recv(_MOST_BYTES):
            whole, _, rest = (rest + read).rpartition(b"\n")
            self.counts.update(name.decode() for name in _EVENT.findall(whole + b"\n"))
            if self.counts["ready"]:
                self.ready.set()

    def all_of_it(self) -> Mapping[str, int]:
        """Events by name, once no more come."""
        told = -1
        while told < self.counts.total():
            told = self.counts.total()
            time.sleep(QUIET_SECONDS)
        return self.counts


@contextmanager
def listening(url: str) -> Iterator[Heard]:
    """Listen while the context lasts, from the moment on from which nothing is missed. Raises Broken."""
    place = urlsplit(url)
    heard = Heard()
    with socket.create_connection((str(place.hostname), place.port or 80)) as connection:
        request = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nAccept: text/event-stream\r\n\r\n"
        connection.sendall(request.encode())
        reader = threading.Thread(target=heard.read, args=[connection])
        reader.start()
        try:
            if not heard.ready.wait(READY_SECONDS_MAX):
                raise Broken(f"{url} is not ready after {READY_SECONDS_MAX:g} s: {dict(heard.counts)}")
            yield heard
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            reader.join()
