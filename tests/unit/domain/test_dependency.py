"""What an ending does to dependants, and what a requeue gives back to them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedora.domain.dependency import (
    REQUEUED,
    Effect,
    UpstreamNotRevived,
    effect,
    revived,
    stands_in_the_way,
    waited_in_vain,
)
from schedora.domain.errors import IllegalMove
from schedora.domain.graph import Graph
from schedora.domain.ids import JobId
from schedora.domain.job import UPSTREAM_FAILED, Job
from schedora.domain.job_state import ENDED, REQUEUABLE, JobState
from tests.builders import HOUR, NOON, a_job

S = JobState
LATER = NOON + HOUR


@pytest.mark.parametrize("state", JobState)
def test_success_releases_and_every_other_ending_cancels(state: JobState) -> None:
    if state not in ENDED:
        with pytest.raises(ValueError, match="is no ending"):
            effect(state)
        return
    assert effect(state) is (Effect.RELEASE if state is S.SUCCESS else Effect.CANCEL)
    assert stands_in_the_way(state) is (state is not S.SUCCESS)


@pytest.mark.parametrize("state", [state for state in JobState if state not in ENDED])
def test_what_goes_on_stands_in_nobodys_way(state: JobState) -> None:
    assert not stands_in_the_way(state)


class Flow:
    """Named jobs with their edges; those called ``vain`` were canceled for what they waited for."""

    def __init__(self, edges: dict[str, str], states: dict[str, JobState | str]) -> None:
        self.jobs: dict[str, Job] = {}
        for name in edges:
            state = states.get(name, "vain")
            if state == "vain":
                self.jobs[name] = a_job().canceled(now=NOON, reason=UPSTREAM_FAILED)
            else:
                self.jobs[name] = a_job(JobState(state))
        ids = {name: job.job_id for name, job in self.jobs.items()}
        self.graph = Graph[JobId](
            {ids[name]: [ids[cause] for cause in causes] for name, causes in edges.items()}
        )

    def revived(self, roots: str) -> dict[str, Job]:
        names = {job.job_id: name for name, job in self.jobs.items()}
        changed = revived(
            [self.jobs[name].job_id for name in roots],
            jobs={job.job_id: job for job in self.jobs.values()},
            graph=self.graph,
            now=LATER,
        )
        return {names[job.job_id]: job for job in changed}


def test_requeue_brings_back_what_waited_for_it_all_the_way_down() -> None:
    flow = Flow({"a": "", "b": "a", "c": "b", "d": "ac"}, {"a": S.DEAD})
    changed = flow.revived("a")
    assert list(changed) == ["a", "b", "c", "d"]
    assert {job.status for job in changed.values()} == {S.PENDING}
    assert {name: job.waits_for for name, job in changed.items()} == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert all(job.history[-1].reason == REQUEUED for job in changed.values())
    assert all(job.scheduled_at == LATER for job in changed.values())


def test_finished_causes_are_not_waited_for_again() -> None:
    flow = Flow({"x": "", "a": "x", "b": "xa"}, {"x": S.SUCCESS, "a": S.DEAD})
    changed = flow.revived("a")
    assert {name: job.waits_for for name, job in changed.items()} == {"a": 0, "b": 1}


def test_other_failures_keep_their_dependants_down() -> None:
    flow = Flow({"a": "", "x": "", "b": "ax", "c": "b", "d": "a"}, {"a": S.DEAD, "x": S.DEAD})
    assert list(flow.revived("a")) == ["a", "d"]
    assert list(flow.revived("ax")) == ["a", "x", "d", "b", "c"]


def test_what_an_operator_canceled_stays_canceled() -> None:
    flow = Flow({"a": "", "b": "a", "c": "b"}, {"a": S.DEAD, "b": S.CANCELED})
    assert list(flow.revived("a")) == ["a"]
    assert list(flow.revived("ab")) == ["a", "b", "c"]


@pytest.mark.parametrize("blocker", sorted(REQUEUABLE))
def test_root_behind_what_can_not_succeed_is_refused(blocker: JobState) -> None:
    flow = Flow({"a": "", "b": "a"}, {"a": blocker, "b": S.CANCELED})
    with pytest.raises(UpstreamNotRevived, match="requeue that one first") as caught:
        flow.revived("b")
    assert caught.value.job_id == flow.jobs["b"].job_id
    assert caught.value.upstream == flow.jobs["a"]


@pytest.mark.parametrize("state", [state for state in JobState if state not in {*REQUEUABLE, S.FAILED}])
def test_root_that_has_not_failed_is_refused(state: JobState) -> None:
    with pytest.raises(IllegalMove):
        Flow({"a": ""}, {"a": state}).revived("a")


def test_waited_in_vain_goes_by_the_last_reason() -> None:
    vain = a_job().canceled(now=NOON, reason=UPSTREAM_FAILED)
    assert waited_in_vain(vain)
    assert not waited_in_vain(a_job().canceled(now=NOON, reason="unwanted"))
    assert not waited_in_vain(vain.requeued(now=LATER, reason=REQUEUED))
    again = vain.requeued(now=LATER, reason=REQUEUED).canceled(now=LATER, reason="unwanted")
    assert not waited_in_vain(again)
    assert not waited_in_vain(a_job(S.CANCELED, history=()))


@st.composite
def flows(draw: st.DrawFn) -> tuple[Graph[JobId], dict[JobId, Job], list[JobId]]:
    """A workflow that came to rest: what depends on a failure was canceled for it, or by an operator."""
    jobs: list[Job] = []
    edges: dict[JobId, list[JobId]] = {}
    for _ in range(draw(st.integers(1, 8))):
        causes = draw(st.lists(st.sampled_from(jobs), unique_by=id)) if jobs else []
        if any(cause.status in REQUEUABLE for cause in causes):
            reason = draw(st.sampled_from([UPSTREAM_FAILED, "unwanted"]))
            job = a_job().canceled(now=NOON, reason=reason)
        else:
            job = a_job(draw(st.sampled_from([S.SUCCESS, S.DEAD, S.CANCELED])))
        jobs.append(job)
        edges[job.job_id] = [cause.job_id for cause in causes]
    failed = [job.job_id for job in jobs if job.status in REQUEUABLE]
    roots = draw(st.lists(st.sampled_from(failed), unique=True)) if failed else []
    return Graph(edges), {job.job_id: job for job in jobs}, roots


@given(flows())
def test_after_a_requeue_nothing_waits_for_what_can_not_succeed(flow: Any) -> None:
    graph, jobs, roots = flow

    def comes_back(job_id: JobId) -> bool:
        """It was asked for, or waited for what comes back, and nothing else stands in its way."""
        return (job_id in roots or waited_in_vain(jobs[job_id])) and all(
            comes_back(cause) for cause in graph.upstream(job_id) if stands_in_the_way(jobs[cause].status)
        )

    blocked = [root for root in roots if not comes_back(root)]
    if blocked:
        with pytest.raises(UpstreamNotRevived) as caught:
            revived(roots, jobs=jobs, graph=graph, now=LATER)
        assert caught.value.job_id in blocked
        return
    changed = revived(roots, jobs=jobs, graph=graph, now=LATER)
    after = jobs | {job.job_id: job for job in changed}
    assert {job.job_id for job in changed} == {job_id for job_id in jobs if comes_back(job_id)}
    for job in changed:
        causes = [after[cause] for cause in graph.upstream(job.job_id)]
        assert not any(stands_in_the_way(cause.status) for cause in causes)
        assert job.waits_for == sum(cause.status is not S.SUCCESS for cause in causes)
        assert job.job_id in roots or waited_in_vain(jobs[job.job_id])
    assert roots or not changed
