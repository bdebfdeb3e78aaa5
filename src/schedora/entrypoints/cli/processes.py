"""``up``, ``api``, ``worker``, ``reaper``, ``migrate``: the commands that are Schedora, not talk to it."""

from pathlib import Path
from typing import Annotated

import typer

from schedora.entrypoints.cli.exits import Misused
from schedora.entrypoints.cli.loading import load_app

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app", metavar="MODULE:APP", help="The Schedora app whose jobs run. Default: echo, sleep, fail."
    ),
]
HostOption = Annotated[str, typer.Option("--host", help="The address to listen on.")]
PortOption = Annotated[
    int, typer.Option("--port", min=0, max=65_535, help="The port to listen on; 0 takes any free one.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        file_okay=False,
        help="Where the embedded PostgreSQL keeps its data, unless DATABASE_URL is set.",
    ),
]


def up(
    *,
    app: AppOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    data_dir: DataDirOption = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Keep everything in memory: for a try, gone at the end.")
    ] = False,
) -> None:
    """Run everything in one process: API, worker and reaper. Ctrl-C drains and stops."""
    from schedora.entrypoints.processes import run_up, set_up_logs  # noqa: PLC0415 - --help must not load the engine

    set_up_logs()
    raise typer.Exit(run_up(app=load_app(app), host=host, port=port, data_dir=data_dir, memory=memory))


def api(*, host: HostOption = "127.0.0.1", port: PortOption = 8000, data_dir: DataDirOption = None) -> None:
    """Run the HTTP API: any number may run."""
    from schedora.entrypoints.processes import run_api  # noqa: PLC0415 - as above

    raise typer.Exit(run_api(host=host, port=port, data_dir=data_dir))


def worker(
    *,
    app: AppOption = None,
    queues: Annotated[
        str | None, typer.Option("--queues", metavar="A,B", help="The queues to serve. Default: every queue.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            min=1,
            max=10_000,
            help="Jobs at once in each process. Default: WORKER_MAX_CONCURRENT_JOBS, else 10.",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            "--processes",
            min=1,
            max=1_000,
            help="Worker processes to run, each watched and replaced when it dies. Default: this one, unwatched.",
        ),
    ] = None,
    worker_id: Annotated[
        str | None,
        typer.Option("--worker-id", help="The worker's name. Default: WORKER_ID, else host and pid."),
    ] = None,
    max_jobs_per_child: Annotated[
        int | None,
        typer.Option(
            "--max-jobs-per-child",
            min=1,
            help='Jobs after which a child of executor="process" is replaced. Default: WORKER_MAX_JOBS_PER_CHILD.',
        ),
    ] = None,
    max_memory_mb_per_child: Annotated[
        int | None,
        typer.Option(
            "--max-memory-mb-per-child",
            min=1,
            help="Memory after a job with which such a child is replaced. Default: WORKER_MAX_MEMORY_MB_PER_CHILD.",
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Run jobs: any number of workers may run, anywhere."""
    from schedora.entrypoints.processes import run_worker, set_up_logs  # noqa: PLC0415 - as above

    set_up_logs()
    status = run_worker(
        app=load_app(app),
        target=app,
        queues=() if queues is None else queue_names(queues),
        concurrency=concurrency,
        processes=processes,
        worker_id=None if worker_id is None else worker_name(worker_id),
        max_jobs_per_child=max_jobs_per_child,
        max_memory_mb_per_child=max_memory_mb_per_child,
        data_dir=data_dir,
    )
    raise typer.Exit(status)


def reaper(*, data_dir: DataDirOption = None) -> None:
    """Find lost workers, give their jobs to others, tidy up: any number may run."""
    from schedora.entrypoints.processes import run_reaper  # noqa: PLC0415 - as above

    raise typer.Exit(run_reaper(data_dir=data_dir))


def migrate(*, data_dir: DataDirOption = None) -> None:
    """Bring the database's schema to what this version needs."""
    from schedora.entrypoints.processes import run_migrate  # noqa: PLC0415 - as above

    raise typer.Exit(run_migrate(data_dir=data_dir))


def queue_names(text: str) -> tuple[str, ...]:
    """``a,b`` as names, each once. Raises ``Misused`` for a name that no queue can have."""
    from schedora.domain.errors import InvalidField  # noqa: PLC0415 - as above
    from schedora.domain.queue import Queue  # noqa: PLC0415

    try:
        return tuple(dict.fromkeys(Queue(name=name.strip()).name for name in text.split(",")))
    except InvalidField as error:
        raise Misused(f"--queues: {error}") from None


def worker_name(text: str) -> str:
    """Raises ``Misused`` for a name that no worker can have."""
    from schedora.domain.errors import InvalidField  # noqa: PLC0415 - as above
    from schedora.domain.text import check_text  # noqa: PLC0415
    from schedora.domain.worker import WORKER_ID_LENGTH_MAX  # noqa: PLC0415

    try:
        check_text("--worker-id", text, length_max=WORKER_ID_LENGTH_MAX)
    except InvalidField as error:
        raise Misused(str(error)) from None
    return text
