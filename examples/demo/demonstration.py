"""`python -m examples.demo`: two workflows on a real system of processes, with a crash in the middle.

Exit status 0 when everything was as expected, 1 otherwise, 130 when interrupted.
"""

import argparse
import asyncio
import contextlib
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import httpx
from examples.demo.checks import Checks
from examples.demo.flights import judge_flights, run_flights
from examples.demo.looking import Operator, look_into
from examples.demo.orders import judge_orders, open_shop, show_orders, submit_orders
from examples.demo.places import Places, places_of_run, shown_path
from examples.demo.stage import stage_for
from examples.demo.system import READY_SECONDS_MAX, ROOT, SCHEDORA, ProcessEndedError, System
from examples.flights.app import app as flights_app
from examples.orders.mailbox import Mailbox
from examples.orders.settings import ShopSettings
from rich.console import Console
from rich.text import Text

from schedora import AsyncSchedoraClient
from schedora.adapters.postgres.embedded import EmbeddedServer, start_embedded
from schedora.entrypoints.settings import Settings

ORDERS_WORKER, FLIGHTS_WORKERS = "w1", ("w2", "w3")
QUICK_RECOVERY = {
    "WORKER_HEARTBEAT_INTERVAL": "1",
    "WORKER_HEARTBEAT_TIMEOUT": "3",
    "WORKER_SHUTDOWN_TIMEOUT": "1",
}
"""A worker is missed after 3 seconds instead of 90, and Ctrl-C waits 1 second for what runs instead of 30."""

SAME_SIGNAL_SECONDS = 1.0
"""A shell, `make` and `timeout` may each pass on the same signal: what comes this close together is one wish."""


def run() -> int:
    """Run the demo as the command line asks; return the exit status."""
    argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__).parse_args()
    return asyncio.run(_run(_console()))


async def demonstrate(places: Places, console: Console) -> bool:
    """Run the demo; return whether everything was as expected."""
    began = time.monotonic()
    checks = Checks()
    console.print("Starting PostgreSQL, a mail server, the API, a reaper and three workers …")
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(_database(places.data))
        mailbox = await stack.enter_async_context(Mailbox(places.mails))
        shop = ShopSettings(database_url=database.url, invoices=places.invoices, mail_server=mailbox.address)
        environment = {"PYTHONPATH": str(ROOT), **QUICK_RECOVERY, **shop.to_environment()}
        system = await stack.enter_async_context(System(places.logs, environment, directory=places.run))
        url = await _start(system)
        client = await stack.enter_async_context(AsyncSchedoraClient(url))
        api = await stack.enter_async_context(httpx.AsyncClient(base_url=url))
        await _until_ready(client, system)
        console.print(f"Ready after {time.monotonic() - began:.1f} s: {url}/docs")

        console.rule("[bold]Orders[/]: seven steps each, shown as attempt·worker", align="left")
        await open_shop(shop)
        titles = await submit_orders(api, console=console, checks=checks)
        runs = await show_orders(client, titles, system, stage_for(console))
        await judge_orders(
            runs, client=client, settings=shop, mailbox=mailbox, console=console, checks=checks
        )

        console.rule("[bold]Flights[/]: 336,776 of them, by month", align="left")
        result = await run_flights(
            client,
            places=places,
            system=system,
            stage=stage_for(console),
            victim=FLIGHTS_WORKERS[0],
        )
        await judge_flights(
            result, client=client, places=places, system=system, console=console, checks=checks
        )
        console.rule("[bold]Looking into it[/]: as an operator would", align="left")
        operator = Operator(url, console, directory=places.run)
        recovered = None if result.kill is None else result.kill.step
        await look_into(runs, recovered, operator, checks)
    console.rule("[bold]What was expected, and what was found[/]", align="left")
    checks.print_to(console)
    _print_next_steps(places, checks, console, took_seconds=time.monotonic() - began)
    return checks.all_hold


@contextlib.asynccontextmanager
async def _database(data_dir: Path) -> AsyncIterator[EmbeddedServer]:
    starting = asyncio.ensure_future(asyncio.to_thread(start_embedded, data_dir))
    try:
        yield await asyncio.shield(starting)
    finally:
        # A thread cannot be canceled: what it has begun is waited for, then taken back.
        server = await starting
        await asyncio.to_thread(server.release)


async def _start(system: System) -> str:
    """Start the processes; return where the API listens."""
    await system.start("api", "api", "--port", "0")
    await system.start("reaper", "reaper")
    workers = {ORDERS_WORKER: "orders", **dict.fromkeys(FLIGHTS_WORKERS, "flights")}
    for name, example in workers.items():
        await system.start(
            name,
            "worker",
            "--app",
            f"examples.{example}.app:app",
            "--queues",
            example,
            "--worker-id",
            name,
            "--concurrency",
            "8" if example == "orders" else "2",
        )
    return await system.says("api", "Schedora listens on ")


async def _until_ready(client: AsyncSchedoraClient, system: System) -> None:
    """Wait until the API knows every worker."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        system.check()
        health = await client.health()
        if health.workers.active == 1 + len(FLIGHTS_WORKERS):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the system was not ready within {READY_SECONDS_MAX:.0f} seconds")


def _print_next_steps(places: Places, checks: Checks, console: Console, *, took_seconds: float) -> None:
    took = f"in {took_seconds:.0f} s"
    if checks.all_hold:
        ending = Text(f"All {len(checks.noted)} expectations held, {took}.", "bold green")
    else:
        ending = Text(f"{checks.failed} of {len(checks.noted)} expectations failed, {took}.", "bold red")
    console.print()
    console.print(ending.append(" To look at:", "not bold default"), soft_wrap=True)
    for what, path in (
        ("report", places.report),
        ("invoices", places.invoices),
        ("mails", places.mails),
        ("logs", places.logs),
    ):
        console.print(Text(f"   {what:<9} {shown_path(path)}"), soft_wrap=True)
    schedora = shown_path(Path(SCHEDORA[0]))
    console.print("To try next on the same data, the last three from another terminal:")
    for command in (
        f"{schedora} up --data-dir {shown_path(places.data)} --app examples.orders.app:app",
        f"{schedora} workflows list",
        f"{schedora} dlq list",
        f"{schedora} top",
    ):
        console.print(Text(f"   {command}", "cyan"), soft_wrap=True)


def _print_failure(error: Exception, places: Places, console: Console) -> None:
    console.print()
    console.print(Text("The demo failed: ", "bold red").append(str(error), "default"), soft_wrap=True)
    if isinstance(error, ProcessEndedError):
        tail = error.log.read_text(encoding="utf-8").splitlines()[-15:]
        console.print(Text("\n".join(tail)), soft_wrap=True)
    console.print(Text(f"The logs of the processes are in {shown_path(places.logs)}"), soft_wrap=True)


def _use_own_settings(places: Places) -> None:
    """Make this process, and those that it starts, work on the demo's data, whatever is configured here."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            del os.environ[name]
    os.environ["SCHEDORA_DATA_DIR"] = str(places.data)
    with contextlib.chdir(places.run):  # away from a .env of the reader's
        _ = flights_app.settings  # reads them, once and for all


def _console() -> Console:
    """Colours and live views on a terminal only; a character that the terminal lacks becomes its escape."""
    stream: TextIO | None = sys.stdout
    if stream is None:  # closed by the caller, who wants to hear nothing
        return Console(quiet=True)
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return Console(force_terminal=stream.isatty(), highlight=False, emoji=False)


async def _run(console: Console) -> int:
    try:
        places = places_of_run(datetime.now(UTC), root=Path(".demo"))
    except OSError as error:
        console.print(Text("The demo cannot write here: ", "bold red").append(str(error), "default"))
        return 1
    _use_own_settings(places)
    task = asyncio.ensure_future(_until_nobody_reads(demonstrate(places, console)))
    signals = _cancel_on_signal(task)
    try:
        return 0 if await task else 1
    except asyncio.CancelledError:
        console.print("Interrupted; everything was stopped.")
        return 128 + signals[0]
    except Exception as error:  # noqa: BLE001 whatever went wrong, the reader needs the logs' place
        _print_failure(error, places, console)
        return 1


async def _until_nobody_reads(demonstration: Coroutine[Any, Any, bool]) -> bool:
    try:
        return await demonstration
    except SystemExit:  # so rich says that the reader of the pipe has gone
        return False


def _cancel_on_signal(task: "asyncio.Future[bool]") -> list[int]:
    """Cancel the task at the first signal, leave at once at the second; return the list of those that came."""
    loop = asyncio.get_running_loop()
    heard: list[int] = []
    first_heard_at = 0.0

    def hear(number: int) -> None:
        nonlocal first_heard_at
        if not heard:
            first_heard_at = loop.time()
            heard.append(number)
            task.cancel()
        elif loop.time() - first_heard_at > SAME_SIGNAL_SECONDS:
            os._exit(128 + number)  # the warden ends what was started

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, hear, number)
    return heard
