"""What the demo makes of what it sees."""

from typing import Any

from attrs import evolve
from examples.demo.steps import Run, Step, changes, layers


def a_step(key: str, **fields: Any) -> Step:
    return evolve(Step(job_id=f"id of {key}", key=key), **fields)


def a_run(*steps: Step) -> Run:
    return Run(workflow_id="w", title="A-1", steps=steps)


def test_at_the_first_look_only_what_has_begun_is_news() -> None:
    seen = a_run(a_step("a", status="RUNNING", attempt=1), a_step("b"))
    assert [(change.title, change.step.key) for change in changes([], [seen])] == [("A-1", "a")]


def test_a_new_status_and_a_new_attempt_are_news_and_nothing_else_is() -> None:
    before = a_run(
        a_step("a", status="RUNNING", attempt=1),
        a_step("b", status="RUNNING", attempt=1),
        a_step("c", status="RUNNING", attempt=1, worker="w1"),
    )
    after = a_run(
        a_step("a", status="SUCCESS", attempt=1),
        a_step("b", status="RUNNING", attempt=2),
        a_step("c", status="RUNNING", attempt=1, worker="w2"),
    )
    assert [change.step.key for change in changes([before], [after])] == ["a", "b"]


def test_a_run_has_ended_when_all_its_steps_have() -> None:
    done, dead, waiting = (
        a_step("a", status="SUCCESS"),
        a_step("b", status="DEAD"),
        a_step("c", status="RETRYING"),
    )
    assert a_run(done, dead).ended
    assert not a_run(done, dead).succeeded
    assert not a_run(done, waiting).ended
    assert a_run(done).succeeded


def test_a_step_stands_right_of_everything_it_waits_for() -> None:
    steps = [a_step("d", after=["b", "a"]), a_step("a"), a_step("b", after=["a"]), a_step("c", after=["a"])]
    assert [[step.key for step in column] for column in layers(steps)] == [["a"], ["b", "c"], ["d"]]


def test_no_steps_make_no_columns() -> None:
    assert layers([]) == []
