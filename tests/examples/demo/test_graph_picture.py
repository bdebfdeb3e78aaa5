"""The graph as lines of text."""

import inspect

from examples.demo.graph_picture import LOOKS, draw_graph, legend
from examples.demo.steps import Run, Step


def lines_of(*steps: Step, with_keys: bool = True) -> str:
    run = Run(workflow_id="w", title="t", steps=steps)
    return "\n".join(line.plain.rstrip() for line in draw_graph(run, with_keys=with_keys))


def test_a_chain_is_one_line() -> None:
    drawn = lines_of(
        Step(job_id="1", key="a", status="SUCCESS", attempt=1, worker="w1"),
        Step(job_id="2", key="b", after=["a"]),
    )
    assert drawn == "✔ a 1·w1 ─── · b -·--"


def test_a_branch_opens_and_closes() -> None:
    drawn = lines_of(
        Step(job_id="1", key="charge", status="SUCCESS", attempt=1, worker="w1"),
        Step(job_id="2", key="fraud", after=["charge"], status="RUNNING", attempt=1, worker="w1"),
        Step(job_id="3", key="gateway", after=["charge"]),
        Step(job_id="4", key="invoice", after=["fraud", "gateway"]),
    )
    assert drawn == inspect.cleandoc(
        """
        ✔ charge 1·w1 ─┬─ ● fraud 1·w1 ───┬─ · invoice -·--
                       └─ · gateway -·-- ─┘
        """
    )


def test_a_fan_stands_in_the_middle() -> None:
    drawn = lines_of(
        Step(job_id="0", key="s"),
        *(Step(job_id=str(n), key=f"m{n}", after=["s"]) for n in (1, 2, 3)),
        Step(job_id="4", key="e", after=["m1", "m2", "m3"]),
    )
    assert drawn == inspect.cleandoc(
        """
                  ┌─ · m1 -·-- ─┐
        · s -·-- ─┼─ · m2 -·-- ─┼─ · e -·--
                  └─ · m3 -·-- ─┘
        """
    )


def test_keys_are_left_out_where_the_reader_knows_them() -> None:
    drawn = lines_of(Step(job_id="1", key="a"), Step(job_id="2", key="b", after=["a"]), with_keys=False)
    assert drawn == "· -·-- ─── · -·--"


def test_every_state_has_a_look_of_its_own_and_is_explained() -> None:
    assert set(LOOKS) == {
        "PENDING", "SCHEDULED", "RUNNING", "SUCCESS", "FAILED", "RETRYING", "DEAD", "CANCELED",
    }  # fmt: skip
    assert len(set(LOOKS.values())) == len(LOOKS)
    assert "↻ retrying" in legend().plain
