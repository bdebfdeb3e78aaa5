"""Registering job functions, and submitting jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from schedora import InvalidArguments, JobContext, JobState, NotFound, Schedora
from schedora.application.errors import Invalid, TooLarge
from schedora.application.handlers import DuplicateType, Executor
from schedora.domain.errors import InvalidField
from schedora.domain.ids import JsonText
from schedora.domain.retry import RetryKind
from schedora.entrypoints.sdk.views import NotSucceeded
from tests.unit.entrypoints.sdk.doors import Doors

CONTEXT: Any = object()


async def greet(name: str, times: int = 1) -> list[str]:
    return [f"hello {name}"] * times


def test_handlers_know_how_to_call_their_function(app: Schedora) -> None:
    @app.job("greet")
    async def greet(ctx: JobContext, name: str) -> str:
        return f"hello {name}"

    handler = app.handlers["greet"]
    assert handler.executor is Executor.ASYNC
    call = handler.bind(JsonText('{"name":"you"}'))(CONTEXT)
    with pytest.raises(StopIteration, match="hello you"):
        call.send(None)


def test_a_job_function_is_still_the_function_that_it_was(app: Schedora) -> None:
    @app.job("double")
    def double(ctx: JobContext, number: int) -> int:
        """Twice as much."""
        return number * 2

    assert double(CONTEXT, number=4) == 8
    assert double.__doc__ == "Twice as much."
    assert repr(double) == "<job 'double'>"
    assert double.type == "double"


def test_functions_run_where_their_kind_belongs_unless_told_otherwise(app: Schedora) -> None:
    async def asynchronous() -> None: ...

    def plain() -> None: ...

    app.job("a")(asynchronous)
    app.job("b")(plain)
    app.job("c", executor="process")(greet)
    app.job("d", executor=Executor.THREAD)(plain)
    executors = {name: app.handlers[name].executor for name in "abcd"}
    assert executors == {
        "a": Executor.ASYNC,
        "b": Executor.THREAD,
        "c": Executor.PROCESS,
        "d": Executor.THREAD,
    }
    assert app.handlers["c"].target == f"{__name__}:greet"


def test_functions_are_refused_that_can_t_run_where_they_are_told_to(app: Schedora) -> None:
    async def asynchronous() -> None: ...

    def plain() -> None: ...

    with pytest.raises(ValueError, match="event loop"):
        app.job("a", executor="thread")(asynchronous)
    with pytest.raises(ValueError, match="block"):
        app.job("b", executor="async")(plain)
    with pytest.raises(ValueError, match="top of a module"):
        app.job("c", executor="process")(plain)
    with pytest.raises(ValueError, match="gpu"):
        app.job("d", executor="gpu")(plain)  # type: ignore[arg-type] # on purpose
    assert set(app.handlers) == {"echo", "sleep", "fail"}


def test_one_type_has_one_function(app: Schedora) -> None:
    app.job("greet")(greet)
    with pytest.raises(DuplicateType, match="greet"):
        app.job("greet")(greet)


def test_the_built_in_handlers_can_be_replaced_once(app: Schedora) -> None:
    @app.job("echo")
    def echo() -> str:
        return "mine"

    assert app.handlers["echo"].bind(JsonText("{}"))(CONTEXT) == "mine"
    with pytest.raises(DuplicateType):
        app.job("echo")(greet)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"priority": 11}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"priority": True}, "priority"),
        ({"queue": ""}, "queue"),
        ({"queue": 3}, "queue"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"retry_policy": "never"}, "retry_policy"),
        ({"retry_base_seconds": -1}, "retry_base_seconds"),
        ({"retry_base_seconds": "1"}, "retry_base_seconds"),
        ({"retry_max_seconds": float("nan")}, "retry_max_seconds"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": float("inf")}, "timeout_seconds"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"scheduled_at": datetime(2030, 1, 1)}, "scheduled_at"),  # noqa: DTZ001 - refused for that
        ({"workflow_id": "x"}, "workflow_id"),
        ({"depends_on": ["x"]}, r"depends_on\[0\]"),
        ({"depends_on": [uuid4()]}, "depends_on"),
    ],
)
def test_options_that_break_a_rule_are_refused_by_name(
    app: Schedora, options: dict[str, Any], named: str
) -> None:
    function = app.job("greet")(greet)
    with pytest.raises(InvalidField, match=named):
        function.with_options(**options)


def test_an_option_that_there_is_not_is_refused(app: Schedora) -> None:
    with pytest.raises(TypeError, match="'prio' is no option"):
        app.job("greet", prio=1)  # type: ignore[call-arg] # on purpose
    with pytest.raises(TypeError, match="'prio' is no option"):
        app.job("greet")(greet).with_options(prio=1)  # type: ignore[call-arg] # on purpose


async def test_options_are_those_of_the_function_unless_a_submission_says_otherwise(app: Schedora) -> None:
    function = app.job("greet", queue="mail", priority=2, max_retries=7, retry_policy="jitter")(greet)
    job = (
        await function.with_options(priority=9).with_options(timeout_seconds=timedelta(minutes=1)).submit("a")
    )
    assert (job.type, job.queue, job.priority, job.max_retries) == ("greet", "mail", 9, 7)
    assert (job.retry_policy, job.timeout_seconds) == (RetryKind.JITTER, 60.0)
    assert (await function.submit("a")).priority == 2


async def test_with_options_takes_every_field_that_a_submitter_may_set(app: Schedora) -> None:
    workflow = await app.workflow("w").submit()
    upstream = await app.submit("echo", workflow_id=workflow.workflow_id)
    at = datetime(2040, 1, 1, tzinfo=UTC)
    job = await app.job("greet")(greet).with_options(
        idempotency_key="k",
        priority=9,
        queue="q",
        scheduled_at=at,
        max_retries=0,
        retry_policy="fixed",
        retry_base_seconds=1.5,
        retry_max_seconds=2,
        timeout_seconds=3,
        workflow_id=workflow.workflow_id,
        depends_on=[upstream],
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ).submit(name="a")  # fmt: skip
    assert job.idempotency_key == "k"
    assert (job.priority, job.queue, job.scheduled_at, job.max_retries) == (9, "q", at, 0)
    assert (job.retry_policy, job.retry_base_seconds, job.retry_max_seconds) == (RetryKind.FIXED, 1.5, 2.0)
    assert (job.timeout_seconds, job.workflow_id) == (3.0, workflow.workflow_id)
    assert job.depends_on == (upstream.job_id,)
    assert job.trace_id == "0af7651916cd43dd8448eb211c80319c"


async def test_a_submitted_job_shows_its_fields(app: Schedora) -> None:
    job = await app.job("greet")(greet).submit(name="you")
    assert isinstance(job.job_id, UUID)
    assert (job.status, job.payload, job.created, job.same_request) == (
        JobState.PENDING,
        {"name": "you"},
        True,
        True,
    )
    assert (job.worker_id, job.attempt, job.retry_count, job.lease_token, job.worker_deaths) == (
        None,
        0,
        0,
        0,
        0,
    )
    assert (job.result, job.error_message, job.errors, job.progress) == (None, None, (), None)
    assert not job.ended
    assert await app.get_job(str(job.job_id)) == job
    assert hash(job) == hash(await app.get_job(job))


async def test_a_job_that_has_not_succeeded_has_no_value(app: Schedora) -> None:
    job = await app.submit("echo")
    with pytest.raises(NotSucceeded, match="PENDING") as refused:
        job.value()
    assert refused.value.job is job


async def test_each_submission_makes_a_key_of_its_own(app: Schedora) -> None:
    prepared = app.job("greet")(greet).prepare("a")
    jobs = await app.submit_many([prepared] * 3)
    jobs.append(await app.submit(prepared))
    assert len({job.job_id for job in jobs}) == 4
    keys = {job.idempotency_key for job in jobs}
    assert len(keys) == 4
    assert None not in keys


async def test_a_key_that_is_taken_finds_the_job_that_has_it(app: Schedora) -> None:
    keyed = app.job("greet")(greet).with_options(idempotency_key="k")
    first, again = await keyed.submit("a"), await keyed.submit("a")
    other = await keyed.with_options(priority=1).submit("a")
    assert first.job_id == again.job_id == other.job_id
    assert [job.created for job in (first, again, other)] == [True, False, False]
    assert [job.same_request for job in (first, again, other)] == [True, True, False]


async def test_a_batch_is_answered_in_its_order_and_finds_its_own_keys(app: Schedora) -> None:
    keyed = app.prepare("echo", {"number": 2}, idempotency_key="k")
    jobs = await app.submit_many([app.prepare("echo", {"number": 1}), keyed, keyed])
    assert [job.payload["number"] for job in jobs] == [1, 2, 2]
    assert [job.created for job in jobs] == [True, True, False]


async def test_a_batch_is_stored_whole_or_not_at_all(app: Schedora, doors: Doors) -> None:
    stray = app.prepare("echo", workflow_id=uuid4())
    with pytest.raises(Invalid, match="no workflow"):
        await app.submit_many([app.prepare("echo"), stray])
    too_large = app.prepare("echo", {"text": "ü" * 600_000})
    with pytest.raises(TooLarge, match="payload has 12000"):
        await app.submit_many([app.prepare("echo"), too_large])
    with pytest.raises(Invalid, match="at most 10000"):
        await app.submit_many([app.prepare("echo")] * 10_001)
    assert await app.submit_many([]) == []
    stats = await doors.system.queues.stats()
    assert stats.by_queue == {}


async def test_arguments_that_do_not_fit_are_refused_at_once(app: Schedora) -> None:
    function: Any = app.job("greet")(greet)
    with pytest.raises(InvalidArguments, match="greet: name: is required; nmae: unexpected field"):
        await function.submit(nmae="a")


def test_the_synchronous_forms_do_the_same(app: Schedora) -> None:
    function = app.job("greet")(greet)
    job = function.submit_sync("a")
    more = app.submit_many_sync([function.prepare("b"), function.prepare("c")])
    assert [app.get_job_sync(j).payload["name"] for j in (job, *more)] == ["a", "b", "c"]
    assert app.submit_sync(function.prepare("d")).payload == {"name": "d"}
    assert app.submit_sync("echo", {"e": 1}, priority=1).priority == 1
    with pytest.raises(TimeoutError, match="PENDING"):
        app.wait_sync(job, timeout=0.01)
    with pytest.raises(NotFound):
        app.get_job_sync(uuid4())
    flow = app.workflow("w")
    flow.add(function.prepare("f"))
    run = flow.submit_sync()
    assert app.get_workflow_sync(run).total_jobs == 1
    with pytest.raises(TimeoutError, match="PENDING"):
        run.wait_sync(timeout=0.01)


async def test_waiting_for_a_job_ends_with_it(app: Schedora, doors: Doors) -> None:
    job = await app.submit("echo")
    await doors.system.cancel_job(job.job_id)
    assert (await app.wait(job, timeout=5)).status is JobState.CANCELED
    assert (await app.wait(job.job_id, timeout=timedelta(seconds=5))).ended


async def test_waiting_for_what_is_not_there_is_told(app: Schedora) -> None:
    with pytest.raises(NotFound):
        await app.wait(uuid4(), timeout=5)
    with pytest.raises(NotFound):
        await app.wait_workflow(uuid4(), timeout=5)
    with pytest.raises(InvalidField, match="job_id"):
        await app.wait("no id", timeout=5)


async def test_waiting_can_be_too_short(app: Schedora) -> None:
    job = await app.submit("echo")
    with pytest.raises(TimeoutError, match=f"job {job.job_id} has not ended in time: it is PENDING"):
        await app.wait(job, timeout=0)


async def test_jobs_on_different_connections_can_t_be_submitted_together(app: Schedora) -> None:
    one, other = object(), object()
    jobs = [app.prepare("echo", connection=one), app.prepare("echo", connection=other)]
    with pytest.raises(ValueError, match="different connections"):
        await app.submit_many(jobs)
    with pytest.raises(ValueError, match="different connections"):
        await app.submit_many(jobs[:1], connection=other)


async def test_the_connection_of_an_option_is_where_the_job_is_stored(app: Schedora, doors: Doors) -> None:
    function = app.job("greet")(greet)
    async with doors.system.units.begin() as unit:
        job = await function.with_options(connection=unit).submit("a")
        (other,) = await app.submit_many([function.with_options(connection=unit).prepare("b")])
        with pytest.raises(NotFound):
            await app.get_job(job)
    assert {(await app.get_job(j)).status for j in (job, other)} == {JobState.PENDING}


def test_an_asynchronous_connection_is_refused_by_the_synchronous_forms(app: Schedora) -> None:
    class Connection:
        async def execute(self) -> None:
            raise AssertionError("it is not to be touched")

    with pytest.raises(TypeError, match=r"Connection is asynchronous: use the asynchronous form"):
        app.submit_sync("echo", connection=Connection())
    flow = app.workflow("w")
    flow.add(app.prepare("echo"))
    with pytest.raises(TypeError, match="asynchronous"):
        flow.submit_sync(connection=Connection())
