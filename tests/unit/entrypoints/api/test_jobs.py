import asyncio
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.domain.ids import JsonText
from schedora.domain.outcome import Succeeded
from schedora.entrypoints.system import System
from tests.unit.entrypoints.api.conftest import DEAD, RETRYING, Api, Bench, problem, submit

NOWHERE = "0198c0de-0000-7000-8000-000000000000"


async def keys(api: Api, query: str = "") -> list[str]:
    answer = await api.get(f"/jobs{query}")
    assert answer.status_code == 200, answer.text
    return [job["idempotency_key"] for job in answer.json()["data"]]


async def shown(api: Api, job: dict[str, Any]) -> dict[str, Any]:
    now: dict[str, Any] = (await api.get(f"/jobs/{job['job_id']}")).json()["data"]
    return now


class TestShow:
    async def test_a_finished_job_shows_its_run(self, api: Api, bench: Bench, clock: VirtualClock) -> None:
        job = await submit(api)
        clock.advance(timedelta(seconds=1))
        [claimed] = await bench.claim()
        clock.advance(timedelta(seconds=2))
        await bench.finish(claimed, Succeeded(result=JsonText('{"sum":[1,2]}')))

        now = await shown(api, job)

        assert now["status"] == "SUCCESS"
        assert now["result"] == {"sum": [1, 2]}
        assert (now["worker_id"], now["attempt"], now["lease_token"]) == ("w1", 1, 1)
        assert (now["claimed_at"], now["completed_at"]) == ("2030-01-01T00:00:01Z", "2030-01-01T00:00:03Z")

    async def test_a_failed_attempt_is_told(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        await bench.run(RETRYING)

        now = await shown(api, job)

        assert (now["status"], now["retry_count"], now["error_message"]) == ("RETRYING", 1, "it failed")
        assert now["scheduled_at"] == "2030-01-01T00:01:00Z"
        assert now["errors"] == [
            {
                "attempt": 1,
                "at": "2030-01-01T00:00:00Z",
                "worker_id": "w1",
                "kind": "Oops",
                "message": "it failed",
                "traceback": None,
            }
        ]

    async def test_a_running_job_shows_no_lease_id(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        [claimed] = await bench.claim()

        answer = await api.get(f"/jobs/{job['job_id']}")

        assert answer.json()["data"]["status"] == "RUNNING"
        assert str(claimed.lease_id) not in answer.text

    async def test_a_job_that_is_not_there(self, api: Api) -> None:
        assert NOWHERE in problem(await api.get(f"/jobs/{NOWHERE}"), 404)["detail"]

    @pytest.mark.parametrize(
        "text",
        ["x", "1", "%00", "0198c0de-0000-7000-8000-00000000000", f"{{{NOWHERE}}}", f"urn:uuid:{NOWHERE}"],
    )
    async def test_an_id_that_is_none(self, api: Api, text: str) -> None:
        problem(await api.get(f"/jobs/{text}"), 422, "job_id")


class TestWait:
    async def test_it_answers_as_soon_as_the_job_has_ended(
        self, api: Api, bench: Bench, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        waiting = asyncio.create_task(api.get(f"/jobs/{job['job_id']}?wait=60"))
        await _until(lambda: clock.sleepers == 2)

        await bench.run()
        while not waiting.done():
            clock.advance(timedelta(milliseconds=250))
            await asyncio.sleep(0)

        assert (await waiting).json()["data"]["status"] == "SUCCESS"
        assert clock.monotonic() < timedelta(seconds=30)

    async def test_it_answers_when_the_time_is_up(self, api: Api, clock: VirtualClock) -> None:
        job = await submit(api)
        waiting = asyncio.create_task(api.get(f"/jobs/{job['job_id']}?wait=1.5"))

        while not waiting.done():
            clock.advance_to_next_wait()
            await asyncio.sleep(0)

        assert (await waiting).json()["data"]["status"] == "PENDING"
        assert timedelta(seconds=1.5) <= clock.monotonic() < timedelta(seconds=3)

    async def test_an_ended_job_is_not_waited_for(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        await bench.run(DEAD)

        assert (await api.get(f"/jobs/{job['job_id']}?wait=60")).json()["data"]["status"] == "DEAD"

    async def test_a_job_that_is_not_there_is_not_waited_for(self, api: Api) -> None:
        problem(await api.get(f"/jobs/{NOWHERE}?wait=60"), 404)

    async def test_waiting_ends_when_the_caller_leaves(
        self, app: FastAPI, api: Api, system: System, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        left = asyncio.Event()
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "GET", "path": f"/api/v1/jobs/{job['job_id']}", "query_string": b"wait=60",
            "headers": [], "root_path": "", "scheme": "http", "server": ("test", 80), "http_version": "1.1",
        }  # fmt: skip
        waiting = asyncio.create_task(app(scope, receive, send))
        await _until(lambda: clock.sleepers == 2)
        left.set()
        await waiting

        assert clock.sleepers <= 1
        assert clock.monotonic() == timedelta(0)

    async def test_a_store_that_goes_away_meanwhile_answers_503(
        self, api: Api, clock: VirtualClock, faults: Faults
    ) -> None:
        job = await submit(api)
        waiting = asyncio.create_task(api.get(f"/jobs/{job['job_id']}?wait=60"))
        await _until(lambda: clock.sleepers == 2)

        faults.away = True
        while not waiting.done():
            clock.advance(timedelta(milliseconds=250))
            await asyncio.sleep(0)

        problem(await waiting, 503)

    @pytest.mark.parametrize("wait", ["61", "-1", "nan", "inf", "-inf", "1e400", "x", ""])
    async def test_what_is_no_time_to_wait(self, api: Api, wait: str) -> None:
        job = await submit(api)

        problem(await api.get(f"/jobs/{job['job_id']}?wait={wait}"), 422, "wait")


class TestList:
    async def test_newest_first(self, api: Api) -> None:
        for key in "abc":
            await submit(api, idempotency_key=key)

        assert await keys(api) == ["c", "b", "a"]

    async def test_pages_follow_each_other_to_the_end(self, api: Api) -> None:
        for key in "abcde":
            await submit(api, idempotency_key=key)
        pages: list[list[str]] = []
        cursor: str | None = None

        while True:
            params = {"limit": "2"} if cursor is None else {"limit": "2", "cursor": cursor}
            page = (await api.get("/jobs", params=params)).json()
            pages.append([job["idempotency_key"] for job in page["data"]])
            cursor = page["next_cursor"]
            if cursor is None:
                break

        assert pages == [["e", "d"], ["c", "b"], ["a"]]

    async def test_each_filter(self, api: Api, bench: Bench, clock: VirtualClock) -> None:
        flow = (await api.post("/workflows", json={"name": "flow"})).json()["data"]["workflow_id"]
        await submit(api, idempotency_key="run")
        await bench.claim(worker_id="w7")
        clock.advance(timedelta(hours=1))
        await submit(api, idempotency_key="typed", type="other")
        await submit(api, idempotency_key="queued", queue="mail")
        await submit(api, idempotency_key="flowing", workflow_id=flow)

        assert await keys(api, "?status=RUNNING") == ["run"]
        assert await keys(api, "?status=SUCCESS") == []
        assert await keys(api, "?status=RUNNING&status=PENDING&queue=default&type=work") == ["flowing", "run"]
        assert await keys(api, "?type=other") == ["typed"]
        assert await keys(api, "?queue=mail") == ["queued"]
        assert await keys(api, f"?workflow_id={flow}") == ["flowing"]
        assert await keys(api, "?worker_id=w7") == ["run"]
        assert await keys(api, "?created_before=2030-01-01T01:00:00Z") == ["run"]
        assert await keys(api, "?created_after=2030-01-01T01:00:00Z&type=other") == ["typed"]
        assert await keys(api, "?created_after=2030-01-01T02:00:00%2B01:00&queue=mail") == ["queued"]
        assert await keys(api, "?created_after=2030-01-01T02:00:00+01:00&queue=mail") == ["queued"]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "limit"), ("limit=501", "limit"), ("limit=x", "limit"), ("limit=1.5", "limit"),
            ("limit=1&limit=2", "limit"), ("status=NOPE", "status[0]"), ("status=", "status[0]"),
            ("type=", "type"), ("type=a%00b", "type"), ("queue=%00", "queue"), ("worker_id=%00", "worker_id"),
            ("type=" + "x" * 300, "type"), ("type=a&type=b", "type"),
            ("workflow_id=x", "workflow_id"), ("created_after=2030-01-01", "created_after"),
            ("created_after=2030-01-01T00:00:00", "created_after"), ("created_after=1700000000", "created_after"),
            ("created_before=9999-12-31T23:59:59-12:00", "created_before"),
            ("created_before=0001-01-01T00:00:00%2B14:00", "created_before"),
            ("created_before=2030-02-30T00:00:00Z", "created_before"),
            ("cursor=x", "cursor"), ("cursor=", "cursor"), ("cursor=%00", "cursor"), ("cursor=" + "A" * 21 + "B", "cursor"),
            ("cursor=" + "é" * 22, "cursor"), ("surprise=1", "surprise"),
        ],
    )  # fmt: skip
    async def test_what_is_refused(self, api: Api, query: str, field: str) -> None:
        problem(await api.get(f"/jobs?{query}"), 422, field)

    async def test_bytes_of_no_text_in_a_filter_are_refused(self, api: Api) -> None:
        told = problem(await api.get("/jobs?type=%ff%fe&queue=q"), 422, "type")

        assert told["errors"][0]["value"] == "%ff%fe"


class TestCancel:
    async def test_a_waiting_job(self, api: Api) -> None:
        job = await submit(api)

        answer = await api.post(f"/jobs/{job['job_id']}/cancel")

        assert answer.status_code == 200
        assert answer.json() == {
            "data": {"job_id": job["job_id"], "status": "CANCELED", "message": "Job canceled successfully"}
        }
        assert (await shown(api, job))["status"] == "CANCELED"

    async def test_a_running_job(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        await bench.claim()

        assert (await api.post(f"/jobs/{job['job_id']}/cancel")).status_code == 200
        assert (await shown(api, job))["status"] == "CANCELED"

    @pytest.mark.parametrize("end", [Succeeded(), DEAD])
    async def test_an_ended_job_is_refused(self, api: Api, bench: Bench, end: Any) -> None:
        job = await submit(api)
        await bench.run(end)

        problem(await api.post(f"/jobs/{job['job_id']}/cancel"), 409)

    async def test_a_job_is_canceled_once(self, api: Api) -> None:
        job = await submit(api)
        await api.post(f"/jobs/{job['job_id']}/cancel")

        problem(await api.post(f"/jobs/{job['job_id']}/cancel"), 409)

    async def test_a_job_that_is_not_there(self, api: Api) -> None:
        problem(await api.post(f"/jobs/{NOWHERE}/cancel"), 404)
        problem(await api.post("/jobs/x/cancel"), 422, "job_id")


class TestRetry:
    async def test_a_dead_job_gets_a_new_budget(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        await bench.run(DEAD)

        answer = await api.post(f"/jobs/{job['job_id']}/retry")

        assert answer.status_code == 200
        again = answer.json()["data"]
        assert (again["status"], again["retry_count"], len(again["errors"])) == ("PENDING", 0, 1)

    async def test_a_canceled_job(self, api: Api) -> None:
        job = await submit(api)
        await api.post(f"/jobs/{job['job_id']}/cancel")

        assert (await api.post(f"/jobs/{job['job_id']}/retry")).json()["data"]["status"] == "PENDING"

    async def test_any_other_job_is_refused(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        problem(await api.post(f"/jobs/{job['job_id']}/retry"), 409)
        await bench.run()
        problem(await api.post(f"/jobs/{job['job_id']}/retry"), 409)
        problem(await api.post(f"/jobs/{NOWHERE}/retry"), 404)


class TestEvents:
    async def test_the_whole_history_in_order(self, api: Api, bench: Bench) -> None:
        job = await submit(api)
        await bench.run(DEAD)

        answer = await api.get(f"/jobs/{job['job_id']}/events")

        assert answer.status_code == 200
        assert answer.json()["next_cursor"] is None
        events = answer.json()["data"]
        assert [(event["from"], event["to"]) for event in events] == [
            (None, "PENDING"),
            ("PENDING", "SCHEDULED"),
            ("SCHEDULED", "RUNNING"),
            ("RUNNING", "FAILED"),
            ("FAILED", "DEAD"),
        ]
        assert events[-1] == {
            "at": "2030-01-01T00:00:00Z",
            "from": "FAILED",
            "to": "DEAD",
            "attempt": 1,
            "worker_id": "w1",
            "reason": "Oops",
        }

    async def test_a_job_that_is_not_there(self, api: Api) -> None:
        problem(await api.get(f"/jobs/{NOWHERE}/events"), 404)


async def _until(reached: Any) -> None:
    while not reached():
        await asyncio.sleep(0)
