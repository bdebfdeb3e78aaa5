"""``schedora torture``."""

import secrets
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schedora.diagnosis.wording import counted
from schedora.entrypoints.cli.confirm import YesOption
from schedora.entrypoints.cli.exits import FAILED, Failed, Misused
from schedora.entrypoints.cli.printing import plain, print_line, print_note

if TYPE_CHECKING:
    from schedora_torture.plan import Plan
    from schedora_torture.report import Report

SEED_MAX = 2**31 - 1
MINUTES_MAX = 24 * 60

FileOption = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all of it, as JSON.")]


def torture(  # noqa: PLR0913 - the options of the command
    *,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, max=MINUTES_MAX, help="For how long there are faults.")
    ] = 5.0,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, max=SEED_MAX, help="Decides orders and faults. Default: any."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=100, help="Worker processes.")] = 3,
    apis: Annotated[int, typer.Option("--apis", min=1, max=20, help="API processes.")] = 2,
    reapers: Annotated[int, typer.Option("--reapers", min=1, max=20, help="Reaper processes.")] = 2,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=10_000, help="Orders a second.")] = 10.0,
    database_url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            metavar="URL",
            help="A migrated database to work on. Default: a PostgreSQL of its own, gone at the end.",
        ),
    ] = None,
    redis_url: Annotated[
        str | None, typer.Option("--redis-url", metavar="URL", help="A Redis to work with. Default: none.")
    ] = None,
    own_redis: Annotated[
        bool, typer.Option("--redis", help="Start a redis-server of its own, gone at the end.")
    ] = False,
    logs: Annotated[
        Path | None,
        typer.Option(
            "--logs",
            metavar="DIR",
            file_okay=False,
            help="A new or empty directory for logs. Default: a new one.",
        ),
    ] = None,
    json_file: FileOption = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one page with pictures.")
    ] = None,
    yes: YesOption = False,
) -> None:
    """Run real work while processes, network, database and Redis fail; exit with 1 when a promise was broken."""
    if sys.platform != "linux":
        raise Misused("torture needs Linux: only there processes end for sure with the one that started them")
    for name, file in (("--json", json_file), ("--html", html_file)):
        if file is not None and not file.parent.is_dir():
            raise Misused(f"{name}: there is no directory {file.parent}")
    if own_redis and redis_url is not None:
        raise Misused("--redis starts one, --redis-url names one: not both")
    if database_url is not None:
        _check_database(database_url, yes=yes)
    chosen = secrets.randbelow(SEED_MAX) if seed is None else seed

    from schedora_torture.plan import Plan  # noqa: PLC0415 - --help must not load it

    plan = Plan(
        duration=timedelta(minutes=minutes),
        seed=chosen,
        run=f"{chosen}-{secrets.token_hex(3)}",
        directory=_directory(logs),
        workers=workers,
        apis=apis,
        reapers=reapers,
        rate=rate,
        database_url=database_url,
        redis_url=redis_url,
        own_redis=own_redis,
    )
    report = run_torture(plan)
    publish(report, json_file, html_file)
    if not report.held:
        raise typer.Exit(FAILED)


def run_torture(plan: "Plan") -> "Report":
    """Tells on standard error how far it is. Raises ``Misused`` for what it can't work with."""
    import asyncio  # noqa: PLC0415 - --help must not load it

    from schedora_torture.environment import NotReady  # noqa: PLC0415
    from schedora_torture.evidence import Unreadable  # noqa: PLC0415 - as above
    from schedora_torture.routes import NoRoute  # noqa: PLC0415
    from schedora_torture.run import torture as tortured  # noqa: PLC0415

    try:
        return asyncio.run(tortured(plan, print_note))
    except NoRoute as error:
        raise Misused(str(error)) from error
    except (NotReady, TimeoutError) as error:
        raise Failed(str(error)) from error
    except Unreadable as error:
        raise Failed(f"{error}. Logs: {plan.directory}") from error


def publish(report: "Report", json_file: Path | None, html_file: Path | None) -> None:
    """Prints it, and writes the files that were asked for."""
    import orjson  # noqa: PLC0415 - --help must not load it

    from schedora_torture.page import page  # noqa: PLC0415 - as above
    from schedora_torture.report import document, lines  # noqa: PLC0415

    for line in lines(report):
        print_line(plain(line))
    if json_file is not None:
        json_file.write_bytes(orjson.dumps(document(report), option=orjson.OPT_INDENT_2))
    if html_file is not None:
        html_file.write_text(page(report), encoding="utf-8")


def _directory(chosen: Path | None) -> Path:
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix="schedora-torture-"))
    chosen.mkdir(parents=True, exist_ok=True)
    if any(chosen.iterdir()):
        raise Misused(f"--logs: {chosen} is not empty")
    return chosen.resolve()


def _check_database(url: str, *, yes: bool) -> None:
    """Raises ``Misused`` for a database that must not be tortured, or that nobody has agreed to."""
    import asyncio  # noqa: PLC0415 - --help must not load it

    from schedora_torture.target_check import inhabitants, objection  # noqa: PLC0415 - as above

    try:
        found = asyncio.run(inhabitants(url))
    except ValueError as error:
        raise Misused(f"--database-url: {error}") from None
    if (why := objection(found)) is not None:
        raise Misused(why)
    if not found.jobs or yes:
        return
    holds = f"{found.description} holds {counted(found.jobs, 'job')}"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Misused(f"{holds}: --yes says that it may be tortured")
    if not typer.confirm(f"{holds}. Torture it?", err=True):
        raise Misused("nothing done")
