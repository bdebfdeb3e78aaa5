"""The demo as a reader runs it: real processes, one of them really killed, and what is left of it afterwards."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from examples.demo.system import ROOT

pytestmark = pytest.mark.xdist_group("demo")  # it takes both cores, and one is enough

COMMAND = [sys.executable, "-m", "examples.demo"]
SECONDS_MAX = 240


def environment(**more: str) -> dict[str, str]:
    """That of a bare machine, with settings of somebody else's that must not matter."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
    strange = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "WORKER_HEARTBEAT_INTERVAL": "soon"}
    return {**kept, **strange, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def place() -> Iterator[Path]:
    """Not below pytest's own, which each run of pytest closes to the server's account."""
    with TemporaryDirectory(prefix="schedora-demo-") as directory:
        yield Path(directory)


def left_of(run: Path) -> list[str]:
    """The processes that still work on the places of the run."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline", "cwd"])
        if str(run) in " ".join([process.info["cwd"] or "", *(process.info["cmdline"] or ())])
    ]


def log_lines(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def test_everything_that_the_demo_claims_is_so(place: Path) -> None:
    # A reader's .env must not matter either.
    (place / ".env").write_text("DATABASE_URL=postgresql://nobody@127.0.0.1:1/x\nLOG_LEVEL=loud\n")

    ended = subprocess.run(
        COMMAND,
        cwd=place,
        env=environment(COLUMNS="200"),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    out = ended.stdout
    assert "\x1b" not in out
    assert "✖ DEAD      attempt 3 on w1  card ending in 0002 declined: insufficient funds" in out
    assert "409 for A-1003: there is already a workflow named 'order A-1003'" in out
    # Which of the two rivals is quicker is chance.
    winner = re.search(
        r"✔ two wanted the last sextant, one got it  (A-1002|A-1005) got it; (A-1002|A-1005): ", out
    )
    assert winner
    assert {winner[1], winner[2]} == {"A-1002", "A-1005"}
    delivered = sorted(["A-1001", winner[1], "A-1003", "A-1006", "A-1007", "A-1008"])
    assert f"✔ six orders were delivered  {', '.join(delivered)}" in out
    assert "✔ it is in the dead letter queue with every attempt  3 attempts, CardDeclinedError" in out
    assert re.search(r"mean departure delay +12\.64 min +12\.64 min +=", out)
    assert "✔ every figure equals that of the plain computation  397 groups, 197 intervals" in out
    assert "12.6391 by the workflow, 12.6391 by the plain computation" in out
    assert re.search(r"All 19 expectations held, in \d+ s", out)

    (run,) = (place / ".demo").iterdir()
    killed = re.search(r"SIGKILL to worker w2 \(pid \d+\) in the middle of (month-\d\d)", out)
    assert killed
    assert re.search(rf"{killed[1]}: worker_lost on w2, SUCCESS on w3 at attempt 2", out)
    said = {
        name: [line["message"] for line in log_lines(run / "logs" / f"{name}.log")] for name in ("w2", "w3")
    }
    assert ("stopping" in said["w2"], "stopping" in said["w3"]) == (False, True)
    lost = [
        line for line in log_lines(run / "logs" / "reaper.log") if line["message"] == "worker declared lost"
    ]
    assert [line["worker_id"] for line in lost] == ["w2"]
    assert (run / "logs" / "warden.log").read_text() == ""

    assert len(list((run / "invoices").glob("INV-A-*.html"))) == 6
    assert len(list((run / "mails").glob("A-*.eml"))) == 6
    assert "12.64 min" in (run / "flights-report.html").read_text()
    assert left_of(run) == []


def test_an_interrupted_demo_leaves_the_terminal_in_order_and_nothing_running(place: Path) -> None:
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        COMMAND, cwd=place, env=environment(TERM="xterm"), stdout=its_end, stderr=its_end
    ) as demo:
        os.close(its_end)
        drawn = b""
        while b"RETRYING" not in drawn:
            drawn += os.read(terminal, 65536)
        demo.send_signal(signal.SIGINT)
        drawn += rest_of(terminal)
        assert demo.wait(SECONDS_MAX) == 130
    text = drawn.decode()
    assert "validate → reserve → charge → (fraud ∥ gateway) → invoice → confirm" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is hidden"
    assert text.endswith("Interrupted; everything was stopped.\r\n")
    (run,) = (place / ".demo").iterdir()
    assert left_of(run) == []


def rest_of(terminal: int) -> bytes:
    """What is still written until the other end is closed."""
    rest = b""
    try:
        while more := os.read(terminal, 65536):
            rest += more
    except OSError:  # so Linux tells the end of a terminal
        pass
    os.close(terminal)
    return rest
