"""Workflows: the graph, what runs when, what is told of it."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.api import Api, fresh, problem, refused, step, submission

COUNTS = ("total_jobs", "completed_jobs", "pending_jobs", "failed_jobs", "running_jobs", "canceled_jobs")


def counts(status: dict[str, Any]) -> tuple[int, ...]:
    return tuple(status[name] for name in COUNTS)


def test_a_whole_graph_is_stored_in_one_call(api: Api) -> None:
    name = fresh("order")
    answer = api.post("/workflows", {
        "name": name, "description": "an order", "config": {"customer": 7},
        "jobs": [
            step("validate", "waits", payload={"order": 1}),
            step("charge", "waits", after=("validate",), priority=9, queue="payments"),
            step("ship", "waits", after=("validate", "charge")),
        ],
    })  # fmt: skip
    assert answer.status_code == 201
    made = answer.json()["data"]
    assert {member: made[member] for member in ("name", "status")} == {"name": name, "status": "PENDING"}
    assert uuid.UUID(made["workflow_id"]).version == 7

    found = api.get(f"/workflows/{made['workflow_id']}").json()["data"]
    assert (found["name"], found["description"], found["config"], found["status"]) == (
        name, "an order", {"customer": 7}, "PENDING",
    )  # fmt: skip
    steps = {job["key"]: job for job in found["jobs"]}
    assert steps.keys() == {"validate", "charge", "ship"}
    assert steps["validate"]["payload"] == {"order": 1}
    assert (steps["charge"]["priority"], steps["charge"]["queue"]) == (9, "payments")
    assert {job["workflow_id"] for job in steps.values()} == {made["workflow_id"]}
    assert steps["ship"]["depends_on"] == [steps["validate"]["job_id"], steps["charge"]["job_id"]]
    assert len(found["edges"]) == 3
    assert api.job(steps["ship"]["job_id"])["depends_on"] == steps["ship"]["depends_on"]


def test_steps_run_in_order_and_see_what_came_before(api: Api) -> None:
    flow = api.create_workflow(
        step("ship", "looks_upstream", after=("charge", "validate")),
        step("validate", payload={"order": 42}),
        step("charge", payload={"paid": True}, after=("validate",)),
    )
    ended = api.workflow_ended(flow, "SUCCESS")
    assert counts(ended) == (3, 3, 0, 0, 0, 0)
    assert ended["workflow_id"] == flow
    steps = api.steps(flow)
    assert steps["ship"]["result"] == {"validate": {"order": 42}, "charge": {"paid": True}}
    assert steps["validate"]["completed_at"] <= steps["charge"]["claimed_at"]
    assert steps["charge"]["completed_at"] <= steps["ship"]["claimed_at"]


def test_counts_while_it_runs(api: Api, tmp_path: Path) -> None:
    flow = api.create_workflow(
        step("done"), step("runs", "sleep", payload={"seconds": 600}), step("waits", after=("runs",)),
        step("retries", "fail"), step("later", scheduled_at="2100-01-01T00:00:00Z"),
    )  # fmt: skip
    steps = api.steps(flow)
    retries = api.create_workflow(
        step(
            "retries",
            "needs_file",
            payload={"path": str(tmp_path / "x")},
            max_retries=1,
            retry_base_seconds=3600,
        )
    )
    api.ended(steps["done"]["job_id"])
    api.ended(steps["retries"]["job_id"])
    api.in_status(steps["runs"]["job_id"], "RUNNING")
    status = api.workflow_status(flow)
    assert (status["status"], counts(status)) == ("RUNNING", (5, 1, 2, 1, 1, 0))
    api.in_status(api.steps(retries)["retries"]["job_id"], "RETRYING")
    assert counts(api.workflow_status(retries)) == (1, 0, 1, 0, 0, 0)
    assert api.post(f"/workflows/{flow}/cancel").status_code == 200
    assert counts(api.workflow_status(flow)) == (5, 1, 0, 1, 0, 3)
    assert api.post(f"/workflows/{retries}/cancel").status_code == 200


def test_a_workflow_that_nothing_has_begun_is_pending(api: Api) -> None:
    flow = api.create_workflow(step("a", "waits"), step("b", after=("a",)))
    status = api.workflow_status(flow)
    assert (status["status"], counts(status)) == ("PENDING", (2, 0, 2, 0, 0, 0))


def test_a_taken_name_is_a_conflict(api: Api) -> None:
    name = fresh("flow")
    assert api.post("/workflows", {"name": name}).status_code == 201
    assert name in problem(api.post("/workflows", {"name": name, "jobs": [step("a")]}), 409)["detail"]


@pytest.mark.parametrize(
    ("jobs", "words"),
    [
        ([step("a", after=("b",)), step("b", after=("a",))], ["a -> b -> a", "b -> a -> b"]),
        (
            [step("a", after=("c",)), step("b", after=("a",)), step("c", after=("b",)), step("d", after=("a",))],
            ["a -> c -> b -> a", "a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c", "b -> a -> c -> b", "c -> b -> a -> c"],
        ),
        ([step("a", after=("a",))], ["a -> a"]),
        ([step("a", after=("ghost",))], ["a -> ghost", "ghost"]),
        ([step("a"), step("a")], ["a"]),
        ([step("a"), step("b", after=("a", "a"))], ["a"]),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_with_its_path(api: Api, jobs: list[Any], words: list[str]) -> None:
    name = fresh("flow")
    detail = problem(api.post("/workflows", {"name": name, "jobs": jobs}), 422)["detail"]
    assert any(word in detail for word in words), detail
    assert api.get("/workflows", name=name).json()["data"] == []
    assert api.post("/workflows", {"name": name}).status_code == 201


def test_a_wide_and_a_long_graph(api: Api) -> None:
    wide = [step("root", "waits"), *(step(f"leaf-{n}", after=("root",)) for n in range(300))]
    chain = [step("0", "waits"), *(step(str(n), after=(str(n - 1),)) for n in range(1, 300))]
    assert api.workflow_status(api.create_workflow(*wide))["total_jobs"] == 301
    assert api.workflow_status(api.create_workflow(*chain))["total_jobs"] == 300
    notify = [*chain[1:], step("0", after=("299",))]
    detail = problem(api.post("/workflows", {"name": fresh("notify"), "jobs": notify}), 422)
    assert "->" in detail["detail"]


def test_jobs_of_a_graph_may_bring_keys(api: Api) -> None:
    key = fresh("key")
    api.create_workflow(step("a", "waits", idempotency_key=key))
    name = fresh("flow")
    answer = api.post("/workflows", {"name": name, "jobs": [step("a"), step("b", idempotency_key=key)]})
    assert key in problem(answer, 409)["detail"]
    assert api.get("/workflows", name=name).json()["data"] == []


def test_an_empty_workflow_is_filled_job_by_job(api: Api) -> None:
    flow = api.create_workflow()
    assert (api.workflow_status(flow)["status"], counts(api.workflow_status(flow))) == ("PENDING", (0,) * 6)
    first = api.submit(type="sleep", payload={"seconds": 0.2}, workflow_id=flow)
    second = api.submit(type="looks_upstream", workflow_id=flow, depends_on=[first["job_id"]])
    assert (second["workflow_id"], second["depends_on"]) == (flow, [first["job_id"]])
    ended = api.ended(second["job_id"])
    assert ended["result"] == {first["job_id"]: None}
    assert counts(api.workflow_ended(flow, "SUCCESS")) == (2, 2, 0, 0, 0, 0)
    assert len(api.get(f"/workflows/{flow}").json()["data"]["edges"]) == 1


def test_a_job_added_after_what_it_needs_has_ended(api: Api) -> None:
    flow = api.create_workflow()
    first = api.ended(api.submit(type="echo", payload={"n": 1}, workflow_id=flow)["job_id"])
    late = api.submit(type="looks_upstream", workflow_id=flow, depends_on=[first["job_id"]])
    assert api.ended(late["job_id"])["result"] == {first["job_id"]: {"n": 1}}


def test_a_job_added_after_what_it_needs_has_failed_is_canceled(api: Api) -> None:
    flow = api.create_workflow()
    first = api.ended(api.submit(type="fail", max_retries=0, workflow_id=flow)["job_id"])
    late = api.submit(type="echo", workflow_id=flow, depends_on=[first["job_id"]])
    assert api.ended(late["job_id"])["status"] == "CANCELED"
    assert api.events(late["job_id"])[-1]["reason"] == "upstream_failed"


def test_a_batch_fills_a_workflow(api: Api) -> None:
    flow = api.create_workflow()
    first = api.submit(workflow_id=flow)
    jobs = [submission(workflow_id=flow, depends_on=[first["job_id"]]) for _ in range(3)]
    assert api.post("/jobs/batch", {"jobs": jobs}).status_code == 201
    assert counts(api.workflow_status(flow)) == (4, 0, 4, 0, 0, 0)


def test_dependencies_stay_inside_one_workflow(api: Api) -> None:
    flow, other = api.create_workflow(), api.create_workflow()
    foreign, free = api.submit(workflow_id=other)["job_id"], api.submit()["job_id"]
    own = api.submit(workflow_id=flow)["job_id"]
    for depends_on in ([foreign], [free], [str(uuid.uuid4())], [own, foreign]):
        answer = api.post("/jobs", submission(workflow_id=flow, depends_on=depends_on))
        error = refused(answer, f"depends_on[{len(depends_on) - 1}]")
        assert depends_on[-1] in error["message"]
    refused(api.post("/jobs", submission(depends_on=[free])), "depends_on")
    refused(api.post("/jobs", submission(workflow_id=flow, depends_on=[own, own])), "depends_on")
    assert api.workflow_status(flow)["total_jobs"] == 1


def test_a_job_of_an_unknown_workflow_is_refused(api: Api) -> None:
    nobody = str(uuid.uuid4())
    error = refused(
        api.post("/jobs", submission(workflow_id=nobody, queue=(queue := fresh("q")))), "workflow_id"
    )
    assert nobody in error["message"] or error["value"] == nobody
    assert api.jobs(queue=queue) == []


def test_a_dead_step_cancels_all_that_wait_for_it(api: Api) -> None:
    flow = api.create_workflow(
        step("breaks", "fail", max_retries=0), step("child", after=("breaks",)),
        step("grandchild", after=("child", "free")), step("free"),
    )  # fmt: skip
    ended = api.workflow_ended(flow, "FAILED")
    assert counts(ended) == (4, 1, 0, 1, 0, 2)
    steps = api.steps(flow)
    assert {key: job["status"] for key, job in steps.items()} == {
        "breaks": "DEAD", "child": "CANCELED", "grandchild": "CANCELED", "free": "SUCCESS",
    }  # fmt: skip
    for key in ("child", "grandchild"):
        last = api.events(steps[key]["job_id"])[-1]
        assert (last["from"], last["to"], last["reason"]) == ("PENDING", "CANCELED", "upstream_failed")


def test_a_canceled_step_cancels_all_that_wait_for_it(api: Api) -> None:
    flow = api.create_workflow(step("a", "waits"), step("b", after=("a",)), step("c", after=("b",)))
    steps = api.steps(flow)
    assert api.post(f"/jobs/{steps['a']['job_id']}/cancel").status_code == 200
    assert [api.steps(flow)[key]["status"] for key in "abc"] == ["CANCELED"] * 3
    reasons = [api.events(steps[key]["job_id"])[-1]["reason"] for key in "bc"]
    assert reasons == ["upstream_failed"] * 2
    assert api.workflow_status(flow)["status"] in {"CANCELED", "FAILED"}


def test_cancel_ends_what_has_not_ended(api: Api) -> None:
    flow = api.create_workflow(
        step("done"),
        step("runs", "sleep", payload={"seconds": 600}, after=("done",)),
        step("b", after=("runs",)),
    )
    api.in_status(api.steps(flow)["runs"]["job_id"], "RUNNING")
    answer = api.post(f"/workflows/{flow}/cancel")
    assert answer.status_code == 200
    assert answer.json()["data"]["workflow_id"] == flow
    status = api.workflow_status(flow)
    assert (status["status"], counts(status)) == ("CANCELED", (3, 1, 0, 0, 0, 2))
    problem(api.post(f"/workflows/{flow}/cancel"), 409)


def test_an_ended_workflow_is_neither_canceled_nor_retried(api: Api) -> None:
    flow = api.create_workflow(step("a"))
    api.workflow_ended(flow, "SUCCESS")
    assert "SUCCESS" in problem(api.post(f"/workflows/{flow}/cancel"), 409)["detail"]
    assert "SUCCESS" in problem(api.post(f"/workflows/{flow}/retry"), 409)["detail"]


def test_what_has_not_failed_is_not_retried(api: Api) -> None:
    flow = api.create_workflow(step("a", "waits"))
    assert "PENDING" in problem(api.post(f"/workflows/{flow}/retry"), 409)["detail"]


def test_retry_runs_only_what_failed_and_what_waited_for_it(api: Api, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    flow = api.create_workflow(
        step("first", payload={"n": 1}),
        step("breaks", "needs_file", payload={"path": str(wanted)}, max_retries=0, after=("first",)),
        step("last", "looks_upstream", after=("breaks", "first")),
    )
    api.workflow_ended(flow, "FAILED")
    before = api.steps(flow)
    wanted.write_text("found")
    answer = api.post(f"/workflows/{flow}/retry")
    assert answer.status_code == 200
    assert answer.json()["data"]["workflow_id"] == flow
    assert counts(api.workflow_ended(flow, "SUCCESS")) == (3, 3, 0, 0, 0, 0)
    after = api.steps(flow)
    assert after["first"] == before["first"]
    assert after["breaks"]["result"] == "found"
    assert after["last"]["result"] == {"first": {"n": 1}, "breaks": "found"}
    assert len(after["breaks"]["errors"]) == 1


def test_workflows_are_listed_with_pages(api: Api) -> None:
    name = fresh("flow")
    made = [api.create_workflow(name=f"{name}-{n}") for n in range(5)]
    listed = [flow["workflow_id"] for page in api.pages("/workflows", limit=2) for flow in page]
    assert len(listed) == len(set(listed))
    assert set(made) <= set(listed)
    [found] = api.get("/workflows", name=f"{name}-3").json()["data"]
    assert (found["workflow_id"], found["name"], found["status"]) == (made[3], f"{name}-3", "PENDING")
    refused(api.get("/workflows", limit=501), "limit")
    refused(api.get("/workflows", cursor="x"), "cursor")
    problem(api.get("/workflows", status="DEAD"), 422)


def test_workflows_are_listed_by_status(api: Api) -> None:
    waiting, done = api.create_workflow(step("a", "waits")), api.create_workflow(step("a"))
    api.workflow_ended(done, "SUCCESS")

    def listed(status: str) -> set[str]:
        return {flow["workflow_id"] for flow in api.get("/workflows", status=status).json()["data"]}

    assert waiting in listed("PENDING")
    assert done in listed("SUCCESS")
    assert waiting not in listed("SUCCESS")


@pytest.mark.parametrize("call", ["", "/status", "/cancel", "/retry"])
def test_a_workflow_that_is_not_there_is_not_found(api: Api, call: str) -> None:
    for wanted, status in ((str(uuid.uuid4()), 404), ("x", 422)):
        path = f"/workflows/{wanted}{call}"
        problem(api.post(path) if call in {"/cancel", "/retry"} else api.get(path), status)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"), ({"name": ""}, "name"), ({"name": 7}, "name"), ({"description": 7}, "description"),
        ({"config": []}, "config"), ({"config": "x"}, "config"), ({"jobs": {}}, "jobs"), ({"more": 1}, "more"),
        ({"jobs": [{"type": "echo"}]}, "jobs[0].key"), ({"jobs": [step("a", "")]}, "jobs[0].type"),
        ({"jobs": [step("", "x")]}, "jobs[0].key"), ({"jobs": [step("a", priority=11)]}, "jobs[0].priority"),
        ({"jobs": [step("a", depends_on="b")]}, "jobs[0].depends_on"),
        ({"jobs": [step("a", depends_on=[1])]}, "jobs[0].depends_on[0]"),
        ({"jobs": [step("a", workflow_id=str(uuid.uuid4()))]}, "jobs[0].workflow_id"),
        ({"jobs": [step("a", typo=1)]}, "jobs[0].typo"),
    ],
)  # fmt: skip
def test_fields_of_a_workflow(api: Api, change: dict[str, Any], field: str) -> None:
    name = fresh("flow")
    refused(api.post("/workflows", {"name": name, **change}), field)
    assert api.get("/workflows", name=name).json()["data"] == []
