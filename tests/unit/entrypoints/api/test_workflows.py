from typing import Any

import pytest

from tests.unit.entrypoints.api.conftest import DEAD, Api, Bench, problem, submit

NOWHERE = "0198c0de-0000-7000-8000-000000000000"


def a_step(key: str, *after: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "type": "work"} | ({"depends_on": list(after)} if after else {}) | fields


async def create(api: Api, name: str = "flow", *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    answer = await api.post("/workflows", json={"name": name, "jobs": list(steps)} | fields)
    assert answer.status_code == 201, answer.text
    workflow: dict[str, Any] = answer.json()["data"]
    return workflow


class TestCreate:
    async def test_the_whole_graph_is_stored(self, api: Api) -> None:
        flow = await create(
            api, "order-42", a_step("a"), a_step("b", "a"), description="d", config={"x": [1]}
        )

        assert (flow["name"], flow["description"], flow["config"], flow["status"]) == (
            "order-42", "d", {"x": [1]}, "PENDING",
        )  # fmt: skip
        assert [(job["key"], job["type"], job["status"]) for job in flow["jobs"]] == [
            ("a", "work", "PENDING"),
            ("b", "work", "PENDING"),
        ]
        detail = (await api.get(f"/workflows/{flow['workflow_id']}")).json()["data"]
        first, second = flow["jobs"]
        assert detail["edges"] == [{"from": first["job_id"], "to": second["job_id"]}]
        assert {job["key"]: job["depends_on"] for job in detail["jobs"]} == {"a": [], "b": [first["job_id"]]}

    async def test_it_is_found_at_its_location(self, api: Api) -> None:
        answer = await api.post("/workflows", json={"name": "flow"})

        assert answer.status_code == 201
        location = answer.headers["location"]
        assert location == f"/api/v1/workflows/{answer.json()['data']['workflow_id']}"
        assert (await api.get(f"http://schedora.test{location}")).status_code == 200

    async def test_an_empty_one_waits_for_jobs(self, api: Api) -> None:
        flow = await create(api)
        await submit(api, workflow_id=flow["workflow_id"])

        status = (await api.get(f"/workflows/{flow['workflow_id']}/status")).json()["data"]

        assert (status["total_jobs"], status["pending_jobs"]) == (1, 1)

    async def test_a_name_is_taken_once(self, api: Api) -> None:
        await create(api)

        told = problem(await api.post("/workflows", json={"name": "flow", "jobs": [a_step("a")]}), 409)

        assert told["type"].endswith("name-taken")
        assert (await api.get("/jobs")).json()["data"] == []

    async def test_steps_have_the_fields_of_jobs(self, api: Api) -> None:
        fields = {"payload": {"a": 1}, "priority": 9, "queue": "mail", "max_retries": 1, "timeout_seconds": 2}

        flow = await create(api, "flow", a_step("a", **fields, idempotency_key="k1"))

        job = (await api.get(f"/jobs/{flow['jobs'][0]['job_id']}")).json()["data"]
        assert fields.items() <= job.items()
        assert job["idempotency_key"] == "k1"

    async def test_a_steps_taken_key_stores_nothing(self, api: Api) -> None:
        await submit(api)

        problem(
            await api.post("/workflows", json={"name": "flow", "jobs": [a_step("a", idempotency_key="k1")]}),
            409,
        )
        assert (await api.get("/workflows")).json()["data"] == []

    @pytest.mark.parametrize(
        ("steps", "path"),
        [
            ([a_step("a", "b"), a_step("b", "a")], "a -> b -> a"),
            ([a_step("a", "c"), a_step("b", "a"), a_step("c", "b")], "a -> b -> c -> a"),
            ([a_step("a", "a")], "a -> a"),
            ([a_step("a", "x")], "'x'"),
            ([a_step("a"), a_step("a")], "'a'"),
        ],
    )
    async def test_a_graph_that_cant_be_is_refused_with_its_path(
        self, api: Api, steps: list[dict[str, Any]], path: str
    ) -> None:
        told = problem(await api.post("/workflows", json={"name": "flow", "jobs": steps}), 422, "jobs")

        assert told["type"].endswith("invalid-graph")
        assert path in told["detail"]
        assert (await api.get("/workflows")).json()["data"] == []
        assert (await api.get("/jobs")).json()["data"] == []

    async def test_each_bad_step_is_named(self, api: Api) -> None:
        steps = [a_step("a"), a_step("b", priority=11, queue=""), a_step("", payload={"a": "\u0000"})]

        problem(
            await api.post("/workflows", json={"name": "", "description": "d" * 10_001, "jobs": steps}), 422,
            "jobs[1].queue", "jobs[1].priority", "jobs[2].payload", "jobs[2].key", "name", "description",
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "name"),
            ({"name": 1}, "name"),
            ({"name": "n" * 256}, "name"),
            ({"name": "a\x00"}, "name"),
            ({"name": "a", "config": []}, "config"),
            ({"name": "a", "config": {"a\x00": 1}}, "config"),
            ({"name": "a", "surprise": 1}, "surprise"),
            ({"name": "a", "jobs": {}}, "jobs"),
            ({"name": "a", "jobs": [{"type": "work"}]}, "jobs[0].key"),
            ({"name": "a", "jobs": [a_step("a", workflow_id=NOWHERE)]}, "jobs[0].workflow_id"),
            ({"name": "a", "jobs": [a_step("a"), a_step("b", "a", "a")]}, "jobs[1].depends_on"),
            ({"name": "a", "jobs": [a_step("a", depends_on="a")]}, "jobs[0].depends_on"),
        ],
    )
    async def test_what_is_refused(self, api: Api, body: dict[str, Any], field: str) -> None:
        problem(await api.post("/workflows", json=body), 422, field)

    async def test_a_config_over_the_limit(self, api: Api) -> None:
        problem(await api.post("/workflows", json={"name": "a", "config": {"a": "x" * 3_000}}), 413, "config")

    async def test_steps_over_the_limit_are_named_each(self, api: Api) -> None:
        long = {"a": "x" * 3_000}
        steps = [a_step("a"), a_step("b", payload=long), a_step("c", priority=11), a_step("d", payload=long)]

        answer = await api.post("/workflows", json={"name": "a", "jobs": steps})

        problem(answer, 413, "jobs[1].payload", "jobs[3].payload", "jobs[2].priority")
        assert (await api.get("/workflows")).json()["data"] == []

    async def test_more_steps_than_one_call_may_have(self, api: Api) -> None:
        steps = [a_step(str(index)) for index in range(10_001)]

        problem(await api.post("/workflows", json={"name": "a", "jobs": steps}), 422, "jobs")


class TestShow:
    async def test_a_workflow_that_is_not_there(self, api: Api) -> None:
        for address in (f"/workflows/{NOWHERE}", f"/workflows/{NOWHERE}/status"):
            problem(await api.get(address), 404)
        problem(await api.get("/workflows/x"), 422, "workflow_id")
        problem(await api.get("/workflows/x/status"), 422, "workflow_id")

    async def test_the_status_counts_every_job(self, api: Api, bench: Bench) -> None:
        flow = await create(
            api, "flow", a_step("a", priority=9), a_step("b", priority=8), a_step("c", "b"), a_step("d", priority=7),
            a_step("e", priority=6),
        )  # fmt: skip
        await bench.run()
        await bench.run(DEAD)
        await bench.claim()

        status = (await api.get(f"/workflows/{flow['workflow_id']}/status")).json()["data"]

        assert status == {
            "workflow_id": flow["workflow_id"],
            "status": "RUNNING",
            "total_jobs": 5,
            "completed_jobs": 1,
            "failed_jobs": 1,
            "canceled_jobs": 1,
            "running_jobs": 1,
            "pending_jobs": 1,
        }

    async def test_the_list(self, api: Api, bench: Bench) -> None:
        for name in "abc":
            await create(api, name, a_step("s"))
        await bench.run()

        page = (await api.get("/workflows?limit=2")).json()
        rest = (await api.get(f"/workflows?limit=2&cursor={page['next_cursor']}")).json()

        assert [flow["name"] for flow in page["data"] + rest["data"]] == ["c", "b", "a"]
        assert rest["next_cursor"] is None
        assert [flow["name"] for flow in (await api.get("/workflows?status=SUCCESS")).json()["data"]] == ["a"]
        assert [flow["name"] for flow in (await api.get("/workflows?name=b")).json()["data"]] == ["b"]

    @pytest.mark.parametrize(
        "query", ["status=DEAD", "name=%00", "name=", "limit=501", "cursor=x", "surprise=1"]
    )
    async def test_what_the_list_refuses(self, api: Api, query: str) -> None:
        problem(await api.get(f"/workflows?{query}"), 422, query.partition("=")[0])


class TestCancel:
    async def test_what_has_not_ended_is_canceled(self, api: Api, bench: Bench) -> None:
        flow = await create(api, "flow", a_step("a", priority=9), a_step("b", "a"), a_step("c"))
        await bench.run()

        answer = await api.post(f"/workflows/{flow['workflow_id']}/cancel")

        assert answer.status_code == 200
        told = answer.json()["data"]
        assert (told["status"], told["completed_jobs"], told["canceled_jobs"]) == ("CANCELED", 1, 2)

    async def test_an_ended_one_is_refused(self, api: Api, bench: Bench) -> None:
        flow = await create(api, "flow", a_step("a"))
        await bench.run()

        problem(await api.post(f"/workflows/{flow['workflow_id']}/cancel"), 409)
        problem(await api.post(f"/workflows/{NOWHERE}/cancel"), 404)
        problem(await api.post("/workflows/x/cancel"), 422, "workflow_id")


class TestRetry:
    async def test_what_failed_and_what_waited_for_it_runs_again(self, api: Api, bench: Bench) -> None:
        flow = await create(api, "flow", a_step("a"), a_step("b", "a"), a_step("c", "b"))
        await bench.run()
        await bench.run(DEAD)

        answer = await api.post(f"/workflows/{flow['workflow_id']}/retry")

        assert answer.status_code == 200
        told = answer.json()["data"]
        assert (told["status"], told["completed_jobs"], told["pending_jobs"]) == ("RUNNING", 1, 2)

    async def test_one_that_has_not_failed_is_refused(self, api: Api) -> None:
        flow = await create(api, "flow", a_step("a"))

        problem(await api.post(f"/workflows/{flow['workflow_id']}/retry"), 409)
        problem(await api.post(f"/workflows/{NOWHERE}/retry"), 404)
        problem(await api.post("/workflows/x/retry"), 422, "workflow_id")
