"""What the demo shows of the commands that tell what happened."""

import io
import sys
from pathlib import Path

from examples.demo.checks import Checks
from examples.demo.looking import Operator, look_into
from examples.demo.orders import DECLINED
from examples.demo.steps import Run, Step
from rich.console import Console

ECHO = "import os, sys; print(' '.join(sys.argv[1:]), os.environ['SCHEDORA_URL'], os.environ['COLUMNS'])"
WAITED = Step(job_id="j-1", key="confirm", status="CANCELED")
RECOVERED = Step(job_id="j-2", key="month-01", status="SUCCESS")
ORDERS = {DECLINED: Run(workflow_id="w", title=DECLINED, steps=[WAITED])}


def an_operator(program: str, directory: Path, *, width: int = 90) -> tuple[Operator, Console]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    command = (sys.executable, "-c", program)
    return Operator("http://127.0.0.1:1", console, directory=directory, command=command), console


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_what_is_typed_and_what_it_prints_are_shown(tmp_path: Path) -> None:
    operator, console = an_operator(ECHO, tmp_path)
    said = await operator.types("why", "j-1")
    assert (said.text, said.status) == ("why j-1 http://127.0.0.1:1 90", 0)
    assert printed(console) == f"$ schedora why j-1\n{said.text}\n\n"


async def test_what_goes_wrong_is_shown_too(tmp_path: Path) -> None:
    operator, console = an_operator("import sys; sys.exit('no such job')", tmp_path)
    said = await operator.types("trace", "j-1")
    assert (said.text, said.status) == ("no such job", 1)
    assert "no such job" in printed(console)


async def test_colours_are_shown_and_not_told(tmp_path: Path) -> None:
    operator, _ = an_operator(r"print('\x1b[31mred\x1b[0m')", tmp_path)
    assert (await operator.types("doctor")).text == "red"


async def test_answers_that_tell_it_hold(tmp_path: Path) -> None:
    told = {"why": "waited for charge", "trace": "worker_lost SUCCESS", "doctor": "warning: 1 finding"}
    operator, _ = an_operator(f"import sys; print({told!r}[sys.argv[1]])", tmp_path)
    checks = Checks()
    await look_into(ORDERS, RECOVERED, operator, checks)
    assert [check.holds for check in checks.noted] == [True, True, True]


async def test_answers_that_do_not_tell_it_fail(tmp_path: Path) -> None:
    told = {"why": "", "trace": "SUCCESS", "doctor": "critical: all is lost"}
    operator, _ = an_operator(f"import sys; print({told!r}[sys.argv[1]])", tmp_path)
    checks = Checks()
    await look_into(ORDERS, RECOVERED, operator, checks)
    assert [check.holds for check in checks.noted] == [False, False, False]


async def test_where_no_worker_was_killed_its_job_is_not_looked_at(tmp_path: Path) -> None:
    operator, console = an_operator(ECHO, tmp_path)
    await look_into(ORDERS, None, operator, Checks())
    assert "trace" not in printed(console)
