"""Runs the blocks of one page, in their order, in a directory of the page's own.

What a reader would have on their machine is put in its place: the port that the pages name becomes a free one, the
database that they name becomes one of the test's.
"""

import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import dotenv
import psycopg
import pytest

from tests.docs import unrun
from tests.docs.pages import ROOT, Block, read_yaml
from tests.docs.printed import matches
from tests.docs.shell import PATIENCE_SECONDS, Shell
from tests.redis.servers import Port

SERVER = "127.0.0.1:8000"
DATABASE = "postgresql://schedora:secret@localhost:5432/schedora"

_EXITS = re.compile(r"  # exits (\d+)$")
_STARTS = re.compile(r"schedora (up|api|worker|reaper)\b(?!.*--help)")
_READY = {"up": "listens on", "api": "listens on", "worker": "worker registered", "reaper": ""}


class Started:
    """A process of Schedora that the page leaves running."""

    def __init__(self, command: str, directory: Path, environment: Mapping[str, str]) -> None:
        self.command = command
        self._log = directory / f"log-{time.monotonic_ns()}"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                shlex.split(command), stdout=log, stderr=log, cwd=directory, env=dict(environment)
            )

    def say_when(self, word: str) -> None:
        """Until it has said so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while word not in self.said:
            if self._process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{self.command} is not up:\n{self.said[-4000:]}")
            time.sleep(0.02)

    @property
    def said(self) -> str:
        return self._log.read_text()

    @property
    def told(self) -> str:
        """What it said to people, without its log."""
        return "".join(line for line in self.said.splitlines(keepends=True) if not line.startswith("{"))

    def ask_to_stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        try:
            return self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # Python tells where it hangs
            self._process.wait()
            raise AssertionError(f"{self.command} does not stop:\n{self.said[-4000:]}") from None
        finally:
            self._process.kill()
            self._process.wait()


class Session:
    """``database`` makes a fresh database and answers its URL; it is asked by the first block that names one."""

    def __init__(self, directory: Path, environment: Mapping[str, str], database: Callable[[], str]) -> None:
        self._directory = directory
        self._database = database
        self._database_url: str | None = None
        self._port = Port()
        self._started: list[Started] = []
        self._printed: str | None = None
        self._shell = Shell(
            directory, {**environment, "SCHEDORA_URL": f"http://127.0.0.1:{self._port.number}"}
        )

    def run(self, block: Block) -> None:
        """Does what the kind of the block asks for. Fails for a kind that nobody knows."""
        do = _KINDS.get(block.kind)
        assert do is not None, f"{block.place}: a block of kind {block.kind!r} can't be run or read"
        if block.kind != "output":
            self._printed = None
        if block.title is not None:
            path = self._directory / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._here(block.text))
        do(self, block)

    def close(self) -> None:
        """Stops what still runs; each must end well."""
        try:
            self._stop()
            self._shell.close()
        finally:
            self._port.release()

    def python(self, block: Block) -> None:
        if block.title is not None:
            compile(block.text, block.title, "exec")
            return
        (self._directory / "program.py").write_text(self._here(block.text))
        # What a program prints is its standard output; why it failed stands beside it.
        asked = "python program.py 2> program.err || (status=$?; cat program.err; exit $status)"
        self._printed = self._done(asked, block)

    def output(self, block: Block) -> None:
        assert self._printed is not None, f"{block.place}: nothing was run before"
        _compare(block, "the program", block.text, self._printed)
        self._printed = None

    def console(self, block: Block) -> None:
        for command, expected in commands(block):
            if unrun.reason(command) is not None:
                continue
            asked = self._here(command, quoted=True)
            starting = _STARTS.match(asked)
            printed = self._start(asked, starting[1]) if starting else self._done(asked, block)
            if expected:
                _compare(block, command, self._here(expected), printed)

    def json(self, block: Block) -> None:
        json.loads(block.text)

    def yaml(self, block: Block) -> None:
        assert read_yaml(block.text) is not None, f"{block.place}: an empty document"

    def env(self, block: Block) -> None:
        assert None not in dotenv.dotenv_values(stream=io.StringIO(block.text)).values(), block.place

    def sql(self, block: Block) -> None:
        with psycopg.connect(self._here(DATABASE)) as connection:
            connection.execute(block.text.encode())

    def mermaid(self, block: Block) -> None:
        first, *lines = block.text.splitlines()
        assert first == "stateDiagram-v2", f"{block.place}: only state diagrams can be read"
        assert all(TRANSITION.fullmatch(line) for line in lines), block.place

    def text(self, block: Block) -> None:
        assert block.page in unrun.TEXTS, (
            f"{block.place}: unrun.py has no reason for a block of plain text here"
        )

    def _done(self, command: str, block: Block) -> str:
        exits = _EXITS.search(command)
        printed, status = self._shell.run(command)
        expected = int(exits[1]) if exits else 0
        assert status == expected, f"{block.place}: `{command}` ended with {status}:\n{printed}"
        return printed

    def _start(self, command: str, kind: str) -> str:
        if kind == "up":
            self._stop()
        if kind in {"up", "api"}:
            command += f" --port {self._port.number}"
        directory, _ = self._shell.run("pwd")
        exported, _ = self._shell.run("env -0 | tr '\\0' '\\a'")
        environment = dict(line.partition("=")[::2] for line in exported.split("\a") if line)
        process = Started(command, Path(directory.strip()), environment)
        self._started.append(process)
        process.say_when(_READY[kind])
        return process.told

    def _stop(self) -> None:
        started, self._started = self._started, []
        for process in started:
            process.ask_to_stop()
        for process in started:
            assert process.ended() == 0, f"{process.command} ended badly:\n{process.said[-4000:]}"

    def _here(self, text: str, *, quoted: bool = False) -> str:
        """``text`` with this session's server and database in it; ``quoted`` for the shell."""
        if DATABASE in text and self._database_url is None:
            self._database_url = self._database()
        url = self._database_url or DATABASE
        return text.replace(DATABASE, shlex.quote(url) if quoted else url).replace(
            SERVER, f"127.0.0.1:{self._port.number}"
        )


TRANSITION = re.compile(r" {4}(?:(\w+|\[\*\]) --> (\w+|\[\*\])(?:: .+)?|direction (?:LR|TB))")
"""One line of a state diagram."""

_KINDS: Mapping[str, Callable[[Session, Block], None]] = {
    "python": Session.python,
    "output": Session.output,
    "console": Session.console,
    "json": Session.json,
    "yaml": Session.yaml,
    "env": Session.env,
    "sql": Session.sql,
    "mermaid": Session.mermaid,
    "text": Session.text,
}


def commands(block: Block) -> list[tuple[str, str]]:
    """Each command of a console block with what it should print."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines():
        command, expected = found[-1] if found else ("", "")
        if found and not expected and _goes_on(command):
            found[-1] = (f"{command}\n{line}", "")
        elif line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            assert found, f"{block.place}: the first line must be a command, after '$ '"
            found[-1] = (command, f"{expected}{line}\n")
    return found


def _goes_on(command: str) -> bool:
    """Whether the next line belongs to it: behind a backslash, or within quotes."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


def bare_environment(directory: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    """That of a reader who has just installed Schedora."""
    kept = {
        name: value
        for name, value in inherited.items()
        if name in {"LANG", "TMPDIR"} or name.startswith(("COV", "COVERAGE"))
    }
    tools = directory / "tools"
    tools.mkdir()
    if shutil.which("curl") is None:  # the pages use little of it
        stand_in = tools / "curl"
        stand_in.write_text(f"#!{sys.executable}\n{(ROOT / 'tests/docs/curl.py').read_text()}")
        stand_in.chmod(0o755)
    return {
        **kept,
        "HOME": str(directory / "home"),
        "PATH": f"{Path(sys.executable).parent}:{inherited['PATH']}:{tools}",
        "PYTHONFAULTHANDLER": "1",
        "SCHEDORA_DATA_DIR": str(directory / "data"),
    }


def _compare(block: Block, what: str, expected: str, printed: str) -> None:
    assert matches(expected, printed), (
        f"{block.place}: `{what}` prints something else than the page says.\n"
        f"--- the page\n{expected}\n--- printed\n{printed}"
    )
