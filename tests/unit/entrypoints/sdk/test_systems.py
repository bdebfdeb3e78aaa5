"""When an app opens its systems, and when it closes them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from schedora import JobState, NotFound, Schedora, StoreUnavailable
from schedora.entrypoints.sdk.systems import NoSystem, SharedSystem
from schedora.entrypoints.settings import Settings, WrongSettings
from schedora.entrypoints.system import System
from tests.programs import PATIENCE_SECONDS
from tests.unit.entrypoints.sdk.doors import Doors


def test_making_an_app_opens_nothing_and_reads_no_settings(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HEARTBEAT_TIMEOUT", "nonsense")
    app = Schedora(connect=doors.connect)
    assert doors.opened == 0
    with pytest.raises(WrongSettings, match="WORKER_HEARTBEAT_TIMEOUT"):
        app.submit_sync("echo")
    app.close_sync()


def test_what_is_given_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/db")
    app = Schedora(database_url="postgresql://given/db", redis_url="redis://given", data_dir=str(tmp_path))
    assert app.settings.database_url == "postgresql://given/db"
    assert app.settings.redis_url == "redis://given"
    assert str(app.settings.schedora_data_dir) == str(tmp_path)
    assert Schedora().settings.database_url == "postgresql://environment/db"


async def test_the_first_use_opens_and_close_closes(app: Schedora, doors: Doors) -> None:
    await app.submit("echo")
    await app.submit("echo")
    assert (doors.opened, doors.closed) == (1, 0)
    await app.close()
    assert (doors.opened, doors.closed) == (1, 1)
    await app.submit("echo")
    assert doors.opened == 2


async def test_many_first_uses_at_once_open_once(app: Schedora, doors: Doors) -> None:
    await asyncio.gather(*(app.submit("echo") for _ in range(10)))
    assert doors.opened == 1


async def test_async_with_opens_at_its_beginning_and_closes_at_its_end(app: Schedora, doors: Doors) -> None:
    async with app as opened:
        assert opened is app
        assert (doors.opened, doors.closed) == (1, 0)
        await app.submit("echo")
    assert (doors.opened, doors.closed) == (1, 1)


def test_with_does_the_same_without_an_event_loop(app: Schedora, doors: Doors) -> None:
    with app as opened:
        assert opened is app
        assert (doors.opened, doors.closed) == (1, 0)
        app.submit_sync("echo")
    assert (doors.opened, doors.closed) == (1, 1)
    assert not any(thread.name == "schedora-background" for thread in threading.enumerate())


def test_each_event_loop_has_a_system_and_its_end_closes_it(app: Schedora, doors: Doors) -> None:
    async def submit() -> None:
        await app.submit("echo")

    asyncio.run(submit())
    assert (doors.opened, doors.closed) == (1, 1)
    asyncio.run(submit())
    assert (doors.opened, doors.closed) == (2, 2)


async def test_an_opening_that_fails_is_tried_again_by_the_next_use(app: Schedora, doors: Doors) -> None:
    doors.failures = 1
    with pytest.raises(StoreUnavailable):
        await app.submit("echo")
    await app.submit("echo")
    assert doors.opened == 1


async def test_a_first_use_that_is_given_up_leaves_the_opening_to_others(app: Schedora, doors: Doors) -> None:
    impatient = asyncio.create_task(app.submit("echo"))
    patient = asyncio.create_task(app.submit("echo"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).created
    assert impatient.cancelled()
    assert doors.opened == 1


async def test_an_opening_that_is_cut_off_by_the_end_of_its_loop_is_given_up(doors: Doors) -> None:
    opening, given_up = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def connect(_settings: Settings) -> AsyncIterator[System]:
        opening.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        yield doors.system

    app = Schedora(connect=connect)
    submitting = asyncio.create_task(app.submit("echo"))
    await opening.wait()
    [keeper] = [task for task in asyncio.all_tasks() if task.get_name() == "schedora-system"]
    keeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submitting
    assert given_up.is_set()


async def test_closing_what_was_never_opened_does_nothing(app: Schedora, doors: Doors) -> None:
    await app.close()
    app.close_sync()
    await asyncio.to_thread(app.submit_sync, "echo")
    await app.close()
    await app.close()
    assert (doors.opened, doors.closed) == (1, 1)


def test_what_could_not_be_opened_need_not_be_closed(app: Schedora, doors: Doors) -> None:
    doors.failures = 1
    with pytest.raises(StoreUnavailable):
        app.submit_sync("echo")
    app.close_sync()
    assert (doors.opened, doors.closed) == (0, 0)


async def test_a_callers_transaction_is_used_on_its_own_thread(app: Schedora, doors: Doors) -> None:
    async with doors.system.units.begin() as connection:
        job = app.submit_sync("echo", connection=connection)
        assert await doors.system.jobs.get(job.job_id) is None
    assert await doors.system.jobs.get(job.job_id) is not None


async def test_synchronous_uses_beside_an_event_loop_have_a_system_of_their_own(
    app: Schedora, doors: Doors
) -> None:
    job = await app.submit("echo")
    assert (await asyncio.to_thread(app.get_job_sync, job)).job_id == job.job_id
    assert app.get_job_sync(job).job_id == job.job_id
    assert doors.opened == 2
    await app.close()
    assert doors.closed == 2


@pytest.fixture
async def shared(app: Schedora) -> AsyncIterator[System]:
    """The system that runs the app's handlers, as in a worker."""
    system = Doors().system
    with app.using(SharedSystem(system)):
        yield system


async def test_a_system_that_is_shared_is_used_and_not_closed(
    app: Schedora, shared: System, doors: Doors
) -> None:
    async with app:
        job = await app.submit("echo")
    app.close_sync()
    assert await shared.jobs.get(job.job_id) is not None
    assert (doors.opened, doors.closed) == (0, 0)


async def test_a_system_is_shared_only_while_it_lasts(app: Schedora, doors: Doors) -> None:
    with app.using(SharedSystem(Doors().system)):
        await app.submit("echo")
    await app.submit("echo")
    assert doors.opened == 1


async def test_a_shared_system_is_used_from_every_thread(app: Schedora, shared: System, doors: Doors) -> None:
    job = await asyncio.to_thread(app.submit_sync, "echo")
    other = await asyncio.to_thread(asyncio.run, app.submit("echo"))
    flow = app.workflow("w")
    flow.add(app.prepare("echo"))
    run = await asyncio.to_thread(flow.submit_sync)
    assert await shared.jobs.get(job.job_id) is not None
    assert await shared.jobs.get(other.job_id) is not None
    assert await shared.workflows.get(run.workflow_id) is not None
    assert doors.opened == 0


async def test_errors_come_back_from_a_shared_system(app: Schedora, shared: System) -> None:
    with pytest.raises(NotFound):
        await asyncio.to_thread(app.get_job_sync, uuid4())
    with pytest.raises(NotFound):
        await asyncio.to_thread(asyncio.run, app.get_job(uuid4()))


async def test_waiting_in_a_thread_leaves_the_loop_of_a_shared_system_free(
    app: Schedora, shared: System
) -> None:
    job = await app.submit("echo")
    waiting = asyncio.create_task(asyncio.to_thread(app.wait_sync, job, 30))
    await asyncio.sleep(0)
    await shared.cancel_job(job.job_id)
    assert (await waiting).status is JobState.CANCELED


async def test_a_callers_transaction_carries_jobs_into_a_shared_system(
    app: Schedora, shared: System, doors: Doors
) -> None:
    async with shared.units.begin() as connection:
        sync = app.submit_sync("echo", connection=connection)
        asynchronous = await app.submit("echo", connection=connection)
        assert await shared.jobs.get(sync.job_id) is None
    for job in (sync, asynchronous):
        assert await shared.jobs.get(job.job_id) is not None
    assert doors.opened == 0


async def test_the_loop_of_a_shared_system_is_never_blocked(app: Schedora, shared: System) -> None:
    with pytest.raises(RuntimeError, match="use the asynchronous form"):
        app.submit_sync("echo")


def test_a_shared_system_whose_loop_has_ended_is_told_of(app: Schedora, doors: Doors) -> None:
    async def share() -> SharedSystem:
        return SharedSystem(Doors().system)

    with app.using(asyncio.run(share())), pytest.raises(RuntimeError, match="closed"):
        app.submit_sync("echo")
    assert doors.opened == 0


async def test_where_there_is_no_system_every_call_says_why(app: Schedora, doors: Doors) -> None:
    with app.using(NoSystem("not from here")):
        with pytest.raises(RuntimeError, match="not from here"):
            await app.submit("echo")
        with pytest.raises(RuntimeError, match="not from here"):
            app.submit_sync("echo")
        await app.systems.sleep(timedelta(0))
        app.close_sync()
        await app.close()
    assert doors.opened == 0


def test_the_synchronous_forms_refuse_to_wait_for_themselves(app: Schedora, doors: Doors) -> None:
    """As a coroutine on the app's own background loop would."""

    async def ask_synchronously(_system: object) -> None:
        app.submit_sync("echo")

    with pytest.raises(RuntimeError, match="asynchronous"):
        app.systems.use_sync(ask_synchronously)


def test_waiting_synchronously_can_be_interrupted(app: Schedora, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, given_up = threading.Event(), threading.Event()

    async def for_ever(_system: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    class Interrupting:
        """Stands for the future: Ctrl-C comes while its result is waited for."""

        def __init__(self, future: "asyncio.Future[None]") -> None:
            self._future = future

        def result(self) -> None:
            begun.wait()
            raise KeyboardInterrupt

        def cancel(self) -> None:
            self._future.cancel()

    submit = asyncio.run_coroutine_threadsafe
    app.open_sync()
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", lambda c, loop: Interrupting(submit(c, loop)))  # type: ignore[arg-type] # a future all the same
    with pytest.raises(KeyboardInterrupt):
        app.systems.use_sync(for_ever)
    monkeypatch.undo()
    assert given_up.wait(PATIENCE_SECONDS)


def test_how_a_program_exports_its_own_traces_is_its_own_affair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    app = Schedora()
    assert app.settings.collector is None
    with pytest.raises(WrongSettings, match="grpc"):  # as a worker, it would be Schedora's
        app.settings_with()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRACES_SAMPLER", "xray"),
        ("TRACES_SAMPLER", "traceidratio"),
        ("EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("EXPORTER_OTLP_TRACES_HEADERS", "Bearer"),
        ("EXPORTER_OTLP_TIMEOUT", "10s"),
        ("RESOURCE_ATTRIBUTES", "team"),
        ("SDK_DISABLED", "perhaps"),
    ],
)
def test_no_program_that_submits_fails_by_what_its_own_traces_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"OTEL_{name}", value)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "endpoint=http://agent:5778")
    app = Schedora()
    with capture_logs() as lines:
        assert app.settings.collector is None
        assert app.settings.sampler.ratio == 1
    assert len([line for line in lines if "OTEL_" in line["event"]]) == (name == "TRACES_SAMPLER")
