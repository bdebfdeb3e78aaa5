"""The three streams: of all jobs, of one job, of one workflow."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from schedora.adapters.memory.faults import Faults
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.application.queries.event_feed import FRESH_FOR
from schedora.domain.ids import JobId, WorkflowId
from schedora.domain.job_state import JobState
from schedora.entrypoints.api.routes import events as module
from schedora.entrypoints.system import System
from tests.builders import HOUR, SECOND
from tests.unit.entrypoints.api.conftest import DEAD, RETRYING, Api, Bench, problem, submit
from tests.unit.entrypoints.api.following import Follow, Followed, Told, a_notice, tick

NOWHERE = "0198c0de-0000-7000-8000-000000000000"


def stream_of(job: dict[str, Any]) -> str:
    return f"/jobs/{job['job_id']}/events/stream"


async def create_flow(api: Api, *keys: str) -> str:
    jobs = [{"key": key, "type": "work"} for key in keys]
    answer = await api.post("/workflows", json={"name": "flow", "jobs": jobs})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["workflow_id"])


def moves(told: list[Told]) -> list[str]:
    return [one.data["to"] for one in told if one.event == "job"]


class TestAll:
    async def test_a_move_is_told_whole(self, follow: Follow, system: System) -> None:
        stream = await follow("/events")
        assert (await stream.next_of("ready")).data == {"at": "2030-01-01T00:00:00Z"}
        notice = a_notice(JobState.DEAD, workflow_id=WorkflowId(a_notice().job_id))
        system.events.publish([notice])
        assert (await stream.next_of("job")).data == {
            "at": "2030-01-01T12:00:00Z",
            "from": None,
            "to": "DEAD",
            "attempt": 0,
            "worker_id": None,
            "reason": None,
            "job_id": str(notice.job_id),
            "type": "work",
            "queue": "mail",
            "workflow_id": str(notice.workflow_id),
        }

    async def test_filters_take_several_values_each(self, follow: Follow, system: System) -> None:
        workflow_id, job_id = WorkflowId(a_notice().job_id), JobId(a_notice().job_id)
        wanted = [
            a_notice(JobState.DEAD, queue=queue, type=kind, workflow_id=workflow_id, job_id=job_id)
            for queue in ("a", "b")
            for kind in ("x", "y")
        ]
        unwanted = [
            a_notice(JobState.DEAD, queue="c", type="x", workflow_id=workflow_id, job_id=job_id),
            a_notice(JobState.SUCCESS, queue="a", type="x", workflow_id=workflow_id, job_id=job_id),
            a_notice(JobState.DEAD, queue="a", type="x", job_id=job_id),
            a_notice(JobState.DEAD, queue="a", type="x", workflow_id=workflow_id),
        ]
        stream = await follow(
            "/events?queue=a&queue=b&type=x&type=y&status=DEAD&status=RUNNING"
            f"&workflow_id={workflow_id}&workflow_id={NOWHERE}&job_id={job_id}"
        )
        await stream.next_of("ready")
        system.events.publish([*unwanted, *wanted])
        told = [(await stream.next_of("job")).data for _ in wanted]
        assert [(one["queue"], one["type"]) for one in told] == [(one.queue, one.type) for one in wanted]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=LOST", "status[0]"),
            ("color=red", "color"),
            ("job_id=1", "job_id[0]"),
            ("queue=", "queue[0]"),
            ("last_event_id=1&last_event_id=2", "last_event_id"),
            ("&".join(f"type={number}" for number in range(101)), "type"),
        ],
    )
    async def test_a_filter_that_can_not_be_meant_is_refused(self, api: Api, query: str, field: str) -> None:
        problem(await api.get(f"/events?{query}"), 422, field)

    @pytest.mark.parametrize("by_header", [True, False])
    async def test_it_goes_on_behind_the_last_event(
        self, follow: Follow, system: System, *, by_header: bool
    ) -> None:
        stream = await follow("/events")
        await stream.next_of("ready")
        notices = [a_notice(queue=f"q{number}") for number in range(4)]
        system.events.publish(notices[:3])
        last = await stream.next_of("job")
        await stream.leave()
        back = await (
            follow("/events?last_event_id=1-x", Last_Event_ID=last.event_id)
            if by_header
            else follow(f"/events?last_event_id={last.event_id}")
        )
        told = [await back.next_of("job") for _ in range(2)]
        await back.next_of("ready")
        system.events.publish(notices[3:])
        told.append(await back.next_of("job"))
        assert [one.data["queue"] for one in told] == ["q1", "q2", "q3"]

    async def test_one_that_was_away_for_long_is_told_of_the_gap(
        self, follow: Follow, system: System, clock: VirtualClock
    ) -> None:
        stream = await follow("/events")
        last = await stream.next_of("ready")
        await stream.leave()
        clock.advance(FRESH_FOR + SECOND)
        back = await follow("/events", Last_Event_ID=last.event_id)
        assert (await back.next_of("gap")).data == {"reason": "unattended"}
        await back.next_of("ready")

    @pytest.mark.parametrize(
        "event_id", ["x", "1764103268123456-SUCCESS-end-end", "é", "9" * 15 + "-1", "17-" + "x" * 301, "-"]
    )
    async def test_an_id_of_another_kind_is_a_gap(self, follow: Follow, event_id: str) -> None:
        stream = await follow("/events", Last_Event_ID=event_id)
        assert (await stream.next_of("gap")).data["reason"] in {"unknown_id", "unattended"}

    async def test_an_id_of_another_server_is_a_gap(self, follow: Follow) -> None:
        stream = await follow("/events")
        time = (await stream.next_of("ready")).event_id.partition("-")[0]
        other = await follow("/events", Last_Event_ID=f"{time}-of-another")
        assert (await other.next_of("gap")).data == {"reason": "lost"}
        await other.next_of("ready")


class TestJob:
    async def test_its_history_comes_first_and_then_each_move_to_its_end(
        self, api: Api, follow: Follow, bench: Bench, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        clock.advance(SECOND)
        [claimed] = await bench.claim()
        stream = await follow(stream_of(job))
        told = [await stream.next_of("job") for _ in range(3)]
        assert moves(told) == ["PENDING", "SCHEDULED", "RUNNING"]
        history = (await api.get(f"/jobs/{job['job_id']}/events")).json()["data"]
        whose = {"job_id": job["job_id"], "type": "work", "queue": "default", "workflow_id": None}
        assert [one.data for one in told] == [event | whose for event in history]
        clock.advance(SECOND)
        await bench.finish(claimed)
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end to be seen")
        told = await ending
        assert moves(told) == ["SUCCESS"]
        assert (told[-1].event, told[-1].data) == ("end", {"status": "SUCCESS"})

    async def test_a_move_that_is_told_is_looked_at_soon(
        self, api: Api, follow: Follow, bench: Bench, system: System, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        stream = await follow(stream_of(job))
        await stream.next_of("job")
        await tick(clock, lambda: clock.sleepers == 3, "the first look")
        began = clock.now()
        await bench.claim()
        system.events.publish([a_notice(job_id=JobId(UUID(job["job_id"])))])
        reading = asyncio.create_task(stream.next_of("job"))
        await asyncio.sleep(0)
        await tick(clock, reading.done, "the move to be told")
        assert (await reading).data["to"] == "SCHEDULED"
        assert clock.now() - began < SECOND

    async def test_a_retry_is_no_end(
        self, api: Api, follow: Follow, bench: Bench, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        stream = await follow(stream_of(job))
        await bench.run(RETRYING)
        reading = asyncio.create_task(_until_state(stream, "RETRYING"))
        await tick(clock, reading.done, "the retry to be told")
        await reading
        answer = await api.post(f"/jobs/{job['job_id']}/cancel")
        assert answer.status_code == 200
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end to be seen")
        assert [one.data for one in await ending][-1] == {"status": "CANCELED"}

    async def test_it_goes_on_behind_the_last_event_exactly(
        self, api: Api, follow: Follow, bench: Bench
    ) -> None:
        job = await submit(api)
        await bench.run(DEAD)
        whole = await (await follow(stream_of(job))).all()
        assert moves(whole) == ["PENDING", "SCHEDULED", "RUNNING", "FAILED", "DEAD"]
        assert len({one.event_id for one in whole}) == len(whole)
        for number, one in enumerate(whole[:-1], start=1):
            rest = await (await follow(stream_of(job), Last_Event_ID=one.event_id)).all()
            assert rest == whole[number:]

    async def test_who_has_seen_the_end_is_asked_not_to_come_back(
        self, api: Api, follow: Follow, bench: Bench
    ) -> None:
        job = await submit(api)
        await bench.run(DEAD)
        end = (await (await follow(stream_of(job))).all())[-1]
        answer = await api.get(stream_of(job), headers={"Last-Event-ID": end.event_id})
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await api.get(f"{stream_of(job)}?last_event_id={end.event_id}")).status_code == 204

    async def test_one_that_runs_again_goes_on_behind_its_first_end(
        self, api: Api, follow: Follow, bench: Bench
    ) -> None:
        job = await submit(api)
        await bench.run(DEAD)
        end = (await (await follow(stream_of(job))).all())[-1]
        assert (await api.post(f"/jobs/{job['job_id']}/retry")).status_code == 200
        stream = await follow(stream_of(job), Last_Event_ID=end.event_id)
        again = await stream.next_of("job")
        assert (again.data["from"], again.data["to"]) == ("DEAD", "PENDING")

    async def test_what_was_last_seen_and_is_not_there_makes_it_begin_anew(
        self, api: Api, follow: Follow, bench: Bench
    ) -> None:
        job = await submit(api)
        await bench.run()
        told = await (await follow(stream_of(job), Last_Event_ID="1-PENDING")).all()
        assert moves(told) == ["PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]

    async def test_one_that_is_deleted_ends_without_a_status(
        self, api: Api, follow: Follow, bench: Bench, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        stream = await follow(stream_of(job))
        await stream.next_of("job")
        await bench.run(DEAD)
        assert (await api.delete(f"/dlq/{job['job_id']}")).status_code == 204
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end to be seen")
        assert [one.data for one in await ending][-1] == {"status": None}

    async def test_it_waits_for_a_store_that_is_away(
        self, api: Api, follow: Follow, bench: Bench, faults: Faults, clock: VirtualClock
    ) -> None:
        job = await submit(api)
        stream = await follow(stream_of(job))
        await stream.next_of("job")
        await bench.run()
        faults.fail("job_reader.get")
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end to be seen")
        assert moves(await ending)[-1] == "SUCCESS"

    async def test_one_that_is_not_there(self, api: Api) -> None:
        problem(await api.get(f"/jobs/{NOWHERE}/events/stream"), 404)
        problem(await api.get("/jobs/x/events/stream"), 422, "job_id")

    async def test_it_takes_no_filters(self, api: Api) -> None:
        job = await submit(api)
        problem(await api.get(f"{stream_of(job)}?status=DEAD"), 422, "status")


@pytest.fixture
def patient_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow that has ended is not taken to be quiet before the test has done what it wants to do."""
    monkeypatch.setattr(module, "QUIET", HOUR)
    monkeypatch.setattr(module, "QUIET_AT_MOST", 2 * HOUR)


class TestWorkflow:
    async def test_its_status_and_the_moves_of_its_jobs_are_told_to_its_end(
        self, api: Api, follow: Follow, bench: Bench, system: System, clock: VirtualClock
    ) -> None:
        flow = await create_flow(api, "a", "b")
        stream = await follow(f"/workflows/{flow}/events/stream")
        first = await stream.next_of("workflow")
        assert first.data == (await api.get(f"/workflows/{flow}/status")).json()["data"]
        await stream.next_of("ready")
        notice = a_notice(workflow_id=WorkflowId(UUID(first.data["workflow_id"])))
        system.events.publish([a_notice(), notice])
        assert (await stream.next_of("job")).data["job_id"] == str(notice.job_id)
        await bench.run()
        await bench.run()
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end to be seen")
        *told, end = await ending
        assert (end.event, end.data) == ("end", {"status": "SUCCESS"})
        assert told[-1].data == (await api.get(f"/workflows/{flow}/status")).json()["data"]

    @pytest.mark.usefixtures("patient_end")
    async def test_what_is_told_just_behind_its_end_is_not_lost(
        self, api: Api, follow: Follow, bench: Bench, system: System, clock: VirtualClock
    ) -> None:
        flow = await create_flow(api, "a")
        stream = await follow(f"/workflows/{flow}/events/stream")
        workflow_id = WorkflowId(UUID((await stream.next_of("workflow")).data["workflow_id"]))
        await stream.next_of("ready")
        await bench.run()
        reading = asyncio.create_task(_until_ended(stream))
        await tick(clock, reading.done, "the status to be told")
        system.events.publish([a_notice(JobState.SUCCESS, workflow_id=workflow_id)])
        moving = asyncio.create_task(stream.next_of("job"))
        await tick(clock, moving.done, "the move to be told")
        await moving
        assert [one.event for one in await _after_quiet_hours(stream, clock)] == ["end"]

    async def test_who_has_seen_the_end_is_asked_not_to_come_back_unless_it_runs_again(
        self, api: Api, follow: Follow, bench: Bench, clock: VirtualClock
    ) -> None:
        flow = await create_flow(api, "a")
        address = f"/workflows/{flow}/events/stream"
        await bench.run(DEAD)
        stream = await follow(address)
        ending = asyncio.create_task(stream.all())
        await tick(clock, ending.done, "the end")
        end = (await ending)[-1]
        assert end.data == {"status": "FAILED"}
        headers = {"Last-Event-ID": end.event_id}
        assert (await api.get(address, headers=headers)).status_code == 204
        clock.advance(SECOND)
        assert (await api.post(f"/workflows/{flow}/retry")).status_code == 200
        back = await follow(address, Last_Event_ID=end.event_id)
        assert (await back.next_of("gap")).data == {"reason": "unknown_id"}
        assert (await back.next_of("workflow")).data["status"] == "RUNNING"

    @pytest.mark.usefixtures("patient_end")
    async def test_one_that_is_retried_while_it_ends_goes_on(
        self, api: Api, follow: Follow, bench: Bench, clock: VirtualClock
    ) -> None:
        flow = await create_flow(api, "a")
        stream = await follow(f"/workflows/{flow}/events/stream")
        await bench.run(DEAD)
        reading = asyncio.create_task(_until_ended(stream))
        await tick(clock, reading.done, "the status to be told")
        assert (await api.post(f"/workflows/{flow}/retry")).status_code == 200
        await bench.run()
        reading = asyncio.create_task(_until_ended(stream))
        await tick(clock, reading.done, "the other status to be told")
        await reading
        assert (await _after_quiet_hours(stream, clock))[-1].data == {"status": "SUCCESS"}

    async def test_it_goes_on_behind_the_last_event(self, api: Api, follow: Follow, system: System) -> None:
        flow = await create_flow(api, "a")
        address = f"/workflows/{flow}/events/stream"
        stream = await follow(address)
        workflow_id = WorkflowId(UUID((await stream.next_of("workflow")).data["workflow_id"]))
        await stream.next_of("ready")
        system.events.publish([a_notice(queue=f"q{n}", workflow_id=workflow_id) for n in range(3)])
        last = await stream.next_of("job")
        back = await follow(address, Last_Event_ID=last.event_id)
        await back.next_of("workflow")
        assert [(await back.next_of("job")).data["queue"] for _ in range(2)] == ["q1", "q2"]

    async def test_one_that_is_not_there(self, api: Api) -> None:
        problem(await api.get(f"/workflows/{NOWHERE}/events/stream"), 404)


async def _until_state(stream: Any, state: str) -> None:
    while (await stream.next_of("job")).data["to"] != state:
        """One that was before."""


async def _until_ended(stream: Any) -> None:
    while True:
        told = await stream.next()
        if told.event == "workflow" and told.data["status"] in {"SUCCESS", "FAILED"}:
            return


async def _after_quiet_hours(stream: Followed, clock: VirtualClock) -> list[Told]:
    """What is told to the end."""
    ending = asyncio.create_task(stream.all())
    while not ending.done():
        clock.advance(HOUR)
        await asyncio.sleep(0.001)  # nothing tells when all has been read
    return await ending
