"""What is shown where."""

import io

import pytest
from examples.demo.stage import RECENT_CHANGES, LiveStage, PlainStage, stage_for
from examples.demo.steps import Change, Step
from rich.console import Console
from rich.text import Text

DEAD = Change(
    title="A-1004",
    step=Step(job_id="1", key="charge", status="DEAD", attempt=3, worker="w1", error="declined\nTraceback"),
)
CLAIMED = Change(title="A-1004", step=Step(job_id="1", key="fraud", status="SCHEDULED"))


def test_without_a_terminal_each_change_is_a_line() -> None:
    output = io.StringIO()
    with stage_for(Console(file=output, width=100)) as stage:
        assert isinstance(stage, PlainStage)
        stage.show(Text("the picture"), [DEAD, CLAIMED])
        stage.tell("SIGKILL")
    (line, told) = output.getvalue().splitlines()
    assert line.endswith("A-1004   charge    ✖ DEAD      attempt 3 on w1  declined")
    assert told.endswith(" s  SIGKILL")
    assert "\x1b" not in output.getvalue()


def test_in_a_terminal_the_picture_is_drawn_with_the_newest_changes_below() -> None:
    output = io.StringIO()
    with stage_for(Console(file=output, width=100, force_terminal=True)) as stage:
        assert isinstance(stage, LiveStage)
        stage.show(Text("the first picture"), [DEAD])
        stage.show(Text("the last picture"), [])
    drawn = output.getvalue()
    assert drawn.index("the first picture") < drawn.index("the last picture")
    assert "declined" in drawn


def test_what_is_told_stays_while_changes_come_and_go() -> None:
    output = io.StringIO()
    with stage_for(Console(file=output, width=100, force_terminal=True)) as stage:
        stage.tell("SIGKILL")
        stage.show(Text("a picture"), [DEAD] * RECENT_CHANGES)
        before = output.tell()
        stage.show(Text("a picture"), [CLAIMED] * RECENT_CHANGES)
    drawn = output.getvalue()[before:]
    assert "SIGKILL" in drawn
    assert "declined" not in drawn


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(stage_for(Console(file=io.StringIO(), force_terminal=True)), PlainStage)
