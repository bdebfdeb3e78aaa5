"""The processes that are Schedora: each builds what it needs, runs until told to stop, and says how it went."""

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schedora.adapters.postgres.schema import verify
from schedora.adapters.postgres.upgrade import migrate
from schedora.adapters.system.crash_recorder import CrashRecorder
from schedora.adapters.system.parent_death_pipe import hang_on
from schedora.adapters.telemetry.logs import configure_logs
from schedora.adapters.telemetry.uncaught import tell_of_loop
from schedora.application.log import Logger
from schedora.application.telemetry.redaction import redaction_of
from schedora.domain.ids import IncarnationId
from schedora.domain.process import ProcessKind
from schedora.domain.worker_death import WorkerDeath
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.database import database_of
from schedora.entrypoints.metrics_flush import MetricsFlush
from schedora.entrypoints.reaper import ReaperService
from schedora.entrypoints.replacement import keep, kept, reap_left_behind, replace_process
from schedora.entrypoints.schema_watch import SchemaWatch
from schedora.entrypoints.sdk.systems import SharedSystem
from schedora.entrypoints.service import REPLACE, Service, serve
from schedora.entrypoints.settings import LogFormat, Settings, WrongSettings, load_settings
from schedora.entrypoints.supervisor import NoteDeath, supervise
from schedora.entrypoints.system import System
from schedora.entrypoints.this_process import default_name
from schedora.entrypoints.trace_export import TraceExport

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.app import Schedora
    from schedora.entrypoints.worker import WorkerService

log = Logger("schedora.process")

PORT = "SCHEDORA_PORT_KEPT"
_GARBAGE_OF_REQUESTS = 10_000, 5, 2
"""When an API looks for garbage: Python's 700 objects are made by a few requests that are under way, and are none. All that there is
it goes through about as often as others do, for that bounds what connections leave behind.
"""

MakeServices = Callable[[System], Sequence[Service]]


def run_up(*, app: "Schedora", host: str, port: int, data_dir: Path | None, memory: bool) -> int:
    """API, worker and reaper in one process. Answers the exit status, as all of these do."""
    from schedora.entrypoints.api.service import ApiService  # noqa: PLC0415 - workers need not carry it

    settings = _prepared(data_dir, app)
    if not memory:
        _load_what_requests_take()
    with _listen_as_before(host, port) as listening:

        def services(system: System) -> Sequence[Service]:
            return (
                *_in_every_process(system),
                ReaperService(system),
                _worker(system, settings, app, replaceable=not memory),
                ApiService(system, listening, on_ready=_say_where),
            )

        return _run(settings, services, kind=ProcessKind.UP, app=app, memory=memory, creating=True)


def _listen_as_before(host: str, port: int) -> socket.socket:
    """Where any port will do, on the one of the program that this one takes the place of: its clients know that."""
    from schedora.entrypoints.api.service import PortInUse, listen  # noqa: PLC0415 - as above

    before = kept(PORT)
    try:
        listening = listen(host, int(before) if before and port == 0 else port)
    except PortInUse:
        if port:
            raise
        listening = listen(host, 0)
    keep(PORT, str(listening.getsockname()[1]))
    return listening


def run_api(*, host: str, port: int, data_dir: Path | None) -> int:
    from schedora.entrypoints.api.service import ApiService, listen  # noqa: PLC0415 - as above

    settings = _prepared(data_dir)
    _load_what_requests_take()
    gc.set_threshold(*_GARBAGE_OF_REQUESTS)
    with listen(host, port) as listening:
        return _run(
            settings,
            lambda system: (*_in_every_process(system), ApiService(system, listening, on_ready=_say_where)),
            kind=ProcessKind.API,
        )


def run_worker(  # noqa: PLR0913 - the options of the command
    *,
    app: "Schedora",
    target: str | None,
    queues: tuple[str, ...],
    concurrency: int | None,
    processes: int | None,
    worker_id: str | None,
    data_dir: Path | None,
    max_jobs_per_child: int | None = None,
    max_memory_mb_per_child: int | None = None,
) -> int:
    settings = _prepared(
        data_dir,
        app,
        worker_max_jobs_per_child=max_jobs_per_child,
        worker_max_memory_mb_per_child=max_memory_mb_per_child,
    )
    name = worker_id or settings.worker_id or default_name()
    if processes is not None:
        # The embedded server, if that is the one, must outlast each single worker process.
        with ExitStack() as stack:
            url = stack.enter_context(database_of(settings))
            verify(url)  # not over and over in each of them
            return supervise(
                target=target,
                queues=queues,
                concurrency=concurrency,
                processes=processes,
                worker_id=name,
                max_jobs_per_child=max_jobs_per_child,
                max_memory_mb_per_child=max_memory_mb_per_child,
                data_dir=data_dir,
                stop_seconds=settings.worker_shutdown_timeout,
                # So soon that the store hears of it before it takes the silence for an unknown end.
                hung_seconds=0.8 * (settings.worker_heartbeat_timeout - settings.worker_heartbeat_interval),
                note_death=_noting_deaths(settings, url),
            )
    hang_on(signal.SIGTERM)
    return _run(
        settings,
        lambda system: (
            *_in_every_process(system),
            _worker(system, settings, app, queues=queues, concurrency=concurrency, worker_id=name),
        ),
        kind=ProcessKind.WORKER,
        name=name,
        app=app,
    )


def _noting_deaths(settings: Settings, url: str) -> NoteDeath:
    """With a connection for each: they are rare."""
    system = build_system(settings, database_url=url, kind=ProcessKind.CLIENT)

    async def note(incarnation: IncarnationId, death: WorkerDeath) -> None:
        async with system.workers_of_its_own() as workers:
            await workers.note_death(incarnation, death)

    return note


def run_reaper(*, data_dir: Path | None) -> int:
    settings = _prepared(data_dir)
    return _run(
        settings, lambda system: (*_in_every_process(system), ReaperService(system)), kind=ProcessKind.REAPER
    )


def run_migrate(*, data_dir: Path | None) -> int:
    settings = _prepared(data_dir)
    with database_of(settings) as url:
        migrate(settings.database_direct_url or url)
    print("The schema is up to date.")  # noqa: T201 - what a person asked for
    return 0


def _in_every_process(system: System) -> Sequence[Service]:
    """The first to start and the last to stop, so that all is counted that the others do."""
    if system.span_export is None:
        return (MetricsFlush(system), SchemaWatch(system))
    return (MetricsFlush(system), SchemaWatch(system), TraceExport(system.span_export, system.gauges))


def _load_what_requests_take() -> None:
    """Imports SQLAlchemy before the first request for a list, and the checks before the first for deep health: each
    would keep all others waiting meanwhile.
    """
    from schedora.adapters.postgres import job_pages, workflow_pages  # noqa: F401, PLC0415
    from schedora.adapters.postgres.checks import every  # noqa: F401, PLC0415


def set_up_logs() -> None:
    """As the environment has it: for what is told before an app is imported, which may say otherwise."""
    with suppress(WrongSettings):  # told by whoever goes by them
        _set_up_logs(load_settings())


def _set_up_logs(settings: Settings) -> None:
    configure_logs(
        level=settings.log_level,
        json_lines=settings.log_format is LogFormat.JSON,
        kept_level=settings.job_log_level,
        redaction=redaction_of(settings.log_redact),
    )


def _prepared(data_dir: Path | None, app: "Schedora | None" = None, **given: Any) -> Settings:
    """The settings in force: what is typed wins over what the app says, and that over the environment."""
    settings_with = load_settings if app is None else app.settings_with
    settings = settings_with(schedora_data_dir=data_dir, **given)
    _set_up_logs(settings)
    for doubt in settings.doubts:
        log.warning(doubt)
    return settings


def _worker(
    system: System,
    settings: Settings,
    app: "Schedora",
    *,
    queues: tuple[str, ...] = (),
    concurrency: int | None = None,
    worker_id: str | None = None,
    replaceable: bool = True,
) -> "WorkerService":
    from schedora.entrypoints.worker import WorkerService  # noqa: PLC0415 - as above

    crash_recorder = CrashRecorder.given()
    # A crash tells where it happened: to whoever outlives this process, else to standard error.
    faulthandler.enable(file=2 if crash_recorder is None else crash_recorder.descriptor)
    return WorkerService(
        system,
        app.handlers,
        queues=queues,
        concurrency=concurrency or settings.worker_max_concurrent_jobs,
        worker_id=worker_id or settings.worker_id or default_name(),
        crash_recorder=crash_recorder,
        replace=replace_process if replaceable else None,
    )


def _run(
    settings: Settings,
    make_services: MakeServices,
    *,
    kind: ProcessKind,
    name: str | None = None,
    app: "Schedora | None" = None,
    memory: bool = False,
    creating: bool = False,
) -> int:
    reap_left_behind()
    with ExitStack() as stack:
        url = None if memory else stack.enter_context(database_of(settings, creating=creating))
        system = build_system(settings, database_url=url, kind=kind, name=name)
        status = run_on_loop(_serve(system, make_services, app))
    if status == REPLACE:
        replace_process()
    _leave_threads_behind(status)
    return status


async def _serve(system: System, make_services: MakeServices, app: "Schedora | None") -> int:
    asyncio.get_running_loop().set_exception_handler(tell_of_loop)
    await system.open()
    if app is not None:
        # For good: a handler's thread that outlives the system must not open another one.
        app.systems = SharedSystem(system)
    try:
        return await serve(make_services(system))
    finally:
        await system.end_queries()
        await system.close()


def run_on_loop(main: Coroutine[Any, Any, int]) -> int:
    """Runs ``main`` on the fastest event loop that the platform has."""
    gc.freeze()  # what imports have made stays: no use in looking for garbage in it again and again
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop  # noqa: PLC0415 - there is none for Windows

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _leave_threads_behind(status: int) -> None:
    """A handler's thread that does not end must not keep the process: its job was released."""
    stuck = [t.name for t in threading.enumerate() if t.name.startswith("schedora-handler") and t.is_alive()]
    if stuck:
        logging.shutdown()  # tells what was held back
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _say_where(url: str) -> None:
    print(f"Schedora listens on {url}", flush=True)  # noqa: T201 - what a person, or a script, waits for
