"""A real terminal for commands that run in this process, and what it shows."""

import os
import pty
import re
import sys
import termios
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from unittest.mock import patch

from attrs import frozen

from schedora.entrypoints.cli.main import app as command

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@frozen
class Shown:
    """How a command ended, and all that it wrote to its terminal."""

    status: int
    raw: str

    @property
    def text(self) -> str:
        """Without colours and movements of the cursor."""
        return CONTROL.sub("", self.raw)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.splitlines() if line.strip()]


def on_terminal(
    *arguments: str, columns: int = 120, typed: str = "", piped: Sequence[str] = (), **environment: str
) -> Shown:
    """Runs the command on a terminal of so many columns; the streams ``piped`` lead elsewhere."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    os.write(master, typed.encode())
    pieces: list[bytes] = []

    def read() -> None:
        while True:
            try:
                pieces.append(os.read(master, 65_536))
            except OSError:  # nobody has the terminal open any more
                return

    reader = threading.Thread(target=read)
    reader.start()
    set_up = {
        "COLUMNS": str(columns),
        "LINES": "30",
        "TERM": "xterm-256color",
        "NO_COLOR": "",
        **environment,
    }
    with ExitStack() as stack:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            file = os.devnull if name in piped else os.dup(slave)
            stream = stack.enter_context(open(file, mode, encoding="utf-8"))  # noqa: PTH123 - may be a descriptor
            stack.enter_context(patch.object(sys, name, stream))
        stack.enter_context(patch.dict(os.environ, set_up))
        os.close(slave)
        try:
            command(arguments, prog_name="schedora")
        except SystemExit as ended:
            status = int(ended.code or 0)
        else:
            raise AssertionError("the command did not end the process")
    reader.join()
    os.close(master)
    return Shown(status, b"".join(pieces).decode())
