"""A running server, and how these tests talk to it: over HTTP alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from tests.programs import Program, unconfigured_environment, until

Document = dict[str, Any]


class Server:
    """One process of Schedora that answers HTTP."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.url = program.url()

    def log(self) -> list[Document]:
        """Its log so far, line by line."""
        lines = self.program.err.read_bytes().splitlines(keepends=True)
        return [orjson.loads(line) for line in lines if line[-1:] == b"\n"]

    def logged(self, **members: Any) -> Document:
        """The first line of the log with these members, once it is there."""

        def found() -> Document:
            return next((line for line in self.log() if members.items() <= line.items()), {})

        return until(found, f"the log to say {members}")


@contextmanager
def running(directory: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server for as long as the block runs."""
    program = Program(
        *arguments, "--port", "0", environment=unconfigured_environment(**environment), directory=directory
    )
    try:
        yield Server(program)
    finally:
        program.stop()
