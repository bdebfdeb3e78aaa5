"""The live view on a terminal of its own, in a process of its own: as people have it."""

import fcntl
import os
import pty
import selectors
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from schedora.entrypoints.cli.exits import INTERRUPTED, SIGNALED, WRONG_USE

PATIENCE_SECONDS = 60
LEFT = b"\x1b[?1049l"
"""Back to what was on the terminal before."""


class OnTerminal:
    """The command, and what it has written so far."""

    def __init__(self, url: str, **environment: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "schedora.entrypoints.cli.main", "top", "--url", url, "--interval", "0.5"],
            stdin=slave, stdout=slave, stderr=slave, close_fds=True, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(slave)
        self.written = b""

    def reads(self, part: bytes) -> None:
        """Until it has been written."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._master, selectors.EVENT_READ)
            while part not in self.written:
                assert selector.select(deadline - time.monotonic()), self.written
                self.written += os.read(self._master, 65_536)

    def press(self, key: bytes) -> None:
        os.write(self._master, key)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self) -> int:
        return self._process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture(params=[{}, {"NO_COLOR": "1"}], ids=["colours", "none"])
def on_terminal(server_url: str, request: pytest.FixtureRequest) -> Iterator[OnTerminal]:
    running = OnTerminal(server_url, **request.param)
    yield running
    running.close()


def test_it_shows_what_there_is_and_leaves_the_terminal_as_it_was(on_terminal: OnTerminal) -> None:
    on_terminal.reads(b"the-worker")
    on_terminal.press(b"q")
    on_terminal.reads(LEFT)
    assert on_terminal.ended() == 0


def test_ctrl_c_ends_it_in_good_order(on_terminal: OnTerminal) -> None:
    on_terminal.reads(b"the-worker")
    on_terminal.press(b"\x03")
    on_terminal.reads(LEFT)
    assert on_terminal.ended() == INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_who_ends_it_from_elsewhere_gets_the_terminal_back(server_url: str, number: signal.Signals) -> None:
    running = OnTerminal(server_url)
    try:
        running.reads(b"the-worker")
        running.signal(number)
        running.reads(LEFT)
        assert running.ended() == SIGNALED + number
    finally:
        running.close()


def test_a_terminal_that_has_not_the_characters_gets_one_line(server_url: str) -> None:
    running = OnTerminal(server_url, PYTHONIOENCODING="latin-1")
    try:
        running.reads(b"top needs a terminal that shows UTF-8")
        assert running.ended() == WRONG_USE
        assert LEFT not in running.written
    finally:
        running.close()
