"""One shell for a page: what its commands export, and where they change to, holds for the ones behind."""

import os
import secrets
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

PATIENCE_SECONDS = 60.0


class Shell:
    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=dict(environment),
        )

    def run(self, command: str) -> tuple[str, int]:
        """What the command printed, on either channel, and its status."""
        assert self._process.stdin is not None
        mark = f"end-{secrets.token_hex(8)}"
        # The shell's own input is not for what it runs.
        asked = f"{{ {command}\n}} < /dev/null\nprintf '\\n{mark} %s\\n' $?\n"
        self._process.stdin.write(asked.encode())
        self._process.stdin.flush()
        text = self._read_to(f"\n{mark} ", command)
        printed, _, status = text.rpartition(f"\n{mark} ")
        return printed, int(status)

    def close(self) -> None:
        """Ends the shell and waits for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def _read_to(self, mark: str, command: str) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        text = ""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while mark not in text or not text.endswith("\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(
                        f"`{command}` has not ended in {PATIENCE_SECONDS:g} s; printed:\n{text}"
                    )
                more = os.read(self._process.stdout.fileno(), 65_536)
                if not more:
                    raise AssertionError(f"`{command}` ended the shell; printed:\n{text}")
                text += more.decode()
        return text
