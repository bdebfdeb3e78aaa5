"""`python -m examples.demo`: two workflows on a real system of processes, with a crash in the middle.

Exit status 0 when everything was as expected, 1 otherwise.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from examples.demo.checks import Checks
from examples.demo.flights import judge_flights, run_flights
from examples.demo.orders import judge_orders, open_shop, show_orders, submit_orders
from examples.demo.places import Places, places_of_run
from examples.demo.stage import stage_for
from examples.demo.system import ProcessEndedError, System, free_port
from examples.orders.mailbox import Mailbox
from examples.orders.settings import ShopSettings
from rich.console import Console

from schedora import AsyncSchedoraClient
from schedora.adapters.postgres.embedded import start_embedded

ROOT = Path(__file__).parents[2]
ORDERS_WORKER, FLIGHTS_WORKERS = "w1", ("w2", "w3")
QUICK_RECOVERY = {"WORKER_HEARTBEAT_INTERVAL": "1", "WORKER_HEARTBEAT_TIMEOUT": "3"}
"""A worker is missed after 3 seconds instead of 90, so that nobody has to wait for the second half."""

READY_SECONDS_MAX = 60.0


async def demonstrate(places: Places, console: Console, *, run_name: str) -> bool:
    """Run the demo; return whether everything was as expected."""
    began = time.monotonic()
    checks = Checks()
    database = await asyncio.to_thread(start_embedded, places.data)
    os.environ["SCHEDORA_DATA_DIR"] = str(places.data)  # the flights are submitted from this process
    async with Mailbox(places.mails) as mailbox:
        shop = ShopSettings(database_url=database.url, invoices=places.invoices, mail_server=mailbox.address)
        environment = {"PYTHONPATH": str(ROOT), **QUICK_RECOVERY, **shop.to_environment()}
        async with System(places.logs, environment, directory=places.run) as system:
            url = await _start(system)
            async with AsyncSchedoraClient(url) as client, httpx.AsyncClient(base_url=url) as api:
                await _until_ready(client, system)
                console.print(f"   ready after {time.monotonic() - began:.1f} s: {url}/docs")

                console.rule("[bold]Orders[/]: seven steps each", align="left")
                await open_shop(shop)
                titles = await submit_orders(api, run_name=run_name, console=console, checks=checks)
                runs = await show_orders(client, titles, system, stage_for(console))
                await judge_orders(
                    runs, client=client, settings=shop, mailbox=mailbox, console=console, checks=checks
                )

                console.rule("[bold]Flights[/]: 336,776 of them, by month", align="left")
                result = await run_flights(
                    client,
                    run_name=run_name,
                    places=places,
                    system=system,
                    stage=stage_for(console),
                    victim=FLIGHTS_WORKERS[0],
                )
                await judge_flights(
                    result, client=client, places=places, system=system, console=console, checks=checks
                )
    console.rule("[bold]What was expected, and what was found[/]", align="left")
    checks.print_to(console)
    _print_next_steps(places, console, took_seconds=time.monotonic() - began)
    return checks.all_hold


async def _start(system: System) -> str:
    port = free_port()
    await system.start("api", "api", "--port", str(port))
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
    return f"http://127.0.0.1:{port}"


async def _until_ready(client: AsyncSchedoraClient, system: System) -> None:
    """Wait until the API answers and knows every worker."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        system.check()
        try:
            health = await client.health()
        except httpx.TransportError:
            pass  # not listening yet
        else:
            if health.workers.active == 1 + len(FLIGHTS_WORKERS):
                return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the system was not ready within {READY_SECONDS_MAX:.0f} seconds")


def _print_next_steps(places: Places, console: Console, *, took_seconds: float) -> None:
    console.print(f"\n[bold]Done in {took_seconds:.0f} s.[/] To look at:")
    for what, path in (
        ("report", places.report),
        ("invoices", places.invoices),
        ("mails", places.mails),
        ("logs", places.logs),
    ):
        console.print(f"   {what:<9} {_short(path)}", soft_wrap=True, highlight=False)
    console.print("To try next, on the same data:")
    for command in (
        f"schedora up --data-dir {_short(places.data)} --app examples.orders.app:app",
        "schedora workflows list",
        "schedora dlq list",
    ):
        console.print(f"   [cyan]{command}[/]", soft_wrap=True, highlight=False)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _print_failure(error: Exception, places: Places, console: Console) -> None:
    console.print(f"\n[bold red]The demo failed:[/] {error}", soft_wrap=True, highlight=False)
    if isinstance(error, ProcessEndedError):
        console.print(
            "".join(error.log.read_text(encoding="utf-8").splitlines(keepends=True)[-15:]), markup=False
        )
    console.print(f"The logs of the processes are in {_short(places.logs)}", soft_wrap=True, highlight=False)


async def main() -> int:
    """Run the demo as the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--data-dir", type=Path, help="of the database; default: a new one for this run")
    arguments = parser.parse_args()
    console = Console()
    began = datetime.now(UTC)
    places = places_of_run(began, root=Path(".demo"), data_dir=arguments.data_dir)
    task = asyncio.ensure_future(demonstrate(places, console, run_name=f"{began:%Y-%m-%d %H:%M:%S}"))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return 0 if await task else 1
    except Exception as error:  # noqa: BLE001 whatever went wrong, the reader needs the logs' place
        _print_failure(error, places, console)
        return 1


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
