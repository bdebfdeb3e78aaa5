"""Processes of Schedora, started as a user starts them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "schedora.entrypoints.cli.main")
PATIENCE_SECONDS = 60

Answer = TypeVar("Answer")


def until(condition: Callable[[], Answer], what: str) -> Answer:
    """The first true answer of ``condition``; fails when it does not come."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.02)
    pytest.fail(f"waited in vain for {what}")


def unconfigured_environment(**more: str) -> dict[str, str]:
    """That of this process without what configures Schedora."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "TMPDIR", "LANG"} or name.startswith(("COV", "COVERAGE"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), **more}


class Program:
    """One process, with what it says."""

    def __init__(
        self, *arguments: str, environment: Mapping[str, str], directory: Path, name: str = "program"
    ) -> None:
        self.out, self.err = directory / f"{name}.out", directory / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], stdout=out, stderr=err, env=dict(environment), cwd=directory
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def url(self) -> str:
        """Where it listens, once it does."""

        def found() -> str:
            if self.process.poll() is not None:
                pytest.fail(f"ended with {self.process.returncode}:\n{self.err.read_text()[-3000:]}")
            match = re.search(r"listens on (http://\S+)", self.out.read_text())
            return match.group(1) if match else ""

        return until(found, "the process to listen")

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)

    def stop(self) -> None:
        """Gently, then not."""
        self.ask_to_stop()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
