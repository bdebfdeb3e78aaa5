"""The first act: nine orders come in, one of them for the second time; six can be delivered."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
from examples.demo.checks import Checks
from examples.demo.graph_picture import draw_graph, legend
from examples.demo.places import shown_path
from examples.demo.stage import Stage
from examples.demo.steps import Run, changes
from examples.demo.system import System
from examples.demo.watch import watch
from examples.orders.catalogue import load_catalogue
from examples.orders.graph import load_orders, order_graph
from examples.orders.ledger import open_ledger
from examples.orders.mailbox import Mailbox
from examples.orders.settings import ShopSettings
from examples.orders.shelf import on_hand, open_shelf, reserved
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from schedora import AsyncSchedoraClient, JobView

DECLINED, SUBMITTED_TWICE = "A-1004", "A-1003"
RIVALS = ("A-1002", "A-1005")
"""Both want the only sextant."""

SECONDS_MAX = 60.0


async def open_shop(settings: ShopSettings) -> None:
    """Fill the shelf and begin an empty ledger."""
    connection = await asyncpg.connect(settings.database_url)
    try:
        await open_shelf(connection, load_catalogue().values())
        await open_ledger(connection)
    finally:
        await connection.close()


async def submit_orders(api: httpx.AsyncClient, *, console: Console, checks: Checks) -> dict[str, str]:
    """Post every order as a workflow; return their titles by workflow id.

    The second copy of the same order must be refused with 409.
    """
    titles: dict[str, str] = {}
    refused: dict[str, str] = {}
    for form in load_orders():
        order_id = form["order_id"]
        response = await api.post("/api/v1/workflows", json=order_graph(form, name=f"order {order_id}"))
        if response.status_code == httpx.codes.CONFLICT:
            refused[order_id] = response.json()["detail"]
            line = Text(f"   {order_id} came in twice: ")
            line.append("409", "bold yellow").append(f"  {refused[order_id]}", "dim")
            console.print(line, soft_wrap=True)
            continue
        response.raise_for_status()
        titles[response.json()["data"]["workflow_id"]] = order_id
    checks.expect(
        "the order that came in twice was refused the second time",
        holds=list(refused) == [SUBMITTED_TWICE],
        found="; ".join(f"409 for {order_id}: {detail}" for order_id, detail in refused.items())
        or "it was not",
    )
    return titles


async def show_orders(
    client: AsyncSchedoraClient, titles: dict[str, str], system: System, stage: Stage
) -> dict[str, Run]:
    """Show the orders until all have ended; return how they ended, by order."""
    runs: list[Run] = []
    with stage:
        async for seen in watch(client, titles, system, seconds_max=SECONDS_MAX):
            stage.show(picture_of_orders(seen), changes(runs, seen))
            runs = list(seen)
    return {run.title: run for run in runs}


def picture_of_orders(runs: Sequence[Run]) -> Group:
    """Return the graph of every order, one below the other."""
    lines = [Text("validate → reserve → charge → (fraud ∥ gateway) → invoice → confirm", "bold"), legend()]
    for run in runs:
        for number, graph_line in enumerate(draw_graph(run, with_keys=False)):
            title = Text(no_wrap=True, overflow="ellipsis").append(
                f"{run.title if number == 0 else '':<8}", "bold"
            )
            lines.append(title.append_text(graph_line))
    return Group(*lines)


async def judge_orders(
    runs: dict[str, Run],
    *,
    client: AsyncSchedoraClient,
    settings: ShopSettings,
    mailbox: Mailbox,
    console: Console,
    checks: Checks,
) -> None:
    """Show the dead letter queue and hold the shop's books against what the workflows say."""
    delivered = sorted(order for order, run in runs.items() if run.succeeded)
    dead = await _dead_letters(runs, client=client, console=console)
    checks.expect("six orders were delivered", holds=len(delivered) == 6, found=", ".join(delivered))
    _judge_declined(runs[DECLINED], dead.get(DECLINED), checks)
    winners = [order for order in RIVALS if runs[order].succeeded]
    losers = [f"{order}: {dead[order].error_message}" for order in RIVALS if order in dead]
    checks.expect(
        "two wanted the last sextant, one got it",
        holds=(len(winners), len(losers)) == (1, 1),
        found=f"{', '.join(winners) or 'nobody'} got it; {', '.join(losers)}",
    )
    await _judge_shelf(settings, checks)
    invoices = sorted(path.name for path in settings.invoices.glob("*.html"))
    checks.expect(
        "there is an invoice for each delivered order and no other",
        holds=invoices == [f"INV-{order}.html" for order in delivered],
        found=f"{len(invoices)} pages in {shown_path(settings.invoices)}",
    )
    mails = [path.name.split(".")[0] for path in mailbox.mails()]
    checks.expect(
        "a mail was received for each delivered order and no other",
        holds=mails == delivered,
        found=f"{len(mails)} over SMTP, kept in {shown_path(mailbox.directory)}",
    )


def _judge_declined(run: Run, letter: JobView[Any] | None, checks: Checks) -> None:
    charge = run.step("charge")
    checks.expect(
        "the declined card was tried three times, then given up",
        holds=(charge.status, charge.attempt) == ("DEAD", 3),
        found=f"{run.title}: {charge.status} after {charge.attempt} attempts",
    )
    kinds = [error.kind for error in letter.errors] if letter is not None else []
    checks.expect(
        "it is in the dead letter queue with every attempt",
        holds=kinds == ["CardDeclinedError"] * 3,
        found=f"{len(kinds)} attempts, {', '.join(dict.fromkeys(kinds)) or 'not there'}",
    )
    waited = [run.step(key) for key in ("fraud", "gateway", "invoice", "confirm")]
    checks.expect(
        "what waited for the declined charge was canceled",
        holds={(step.status, step.error) for step in waited} == {("CANCELED", "upstream_failed")},
        found=", ".join(f"{step.key} {step.status}" for step in waited) + f": {waited[0].error}",
    )


async def _judge_shelf(settings: ShopSettings, checks: Checks) -> None:
    connection = await asyncpg.connect(settings.database_url)
    try:
        left, held = await on_hand(connection), await reserved(connection)
    finally:
        await connection.close()
    wrong = [
        product.sku
        for product in load_catalogue().values()
        if left[product.sku] + held.get(product.sku, 0) != product.stock
    ]
    checks.expect(
        "every piece is either on the shelf or reserved once",
        holds=not wrong,
        found=", ".join(wrong) or f"{sum(held.values())} reserved, {sum(left.values())} left",
    )


async def _dead_letters(
    runs: dict[str, Run], *, client: AsyncSchedoraClient, console: Console
) -> dict[str, JobView[Any]]:
    """Show what of these orders is in the dead letter queue; return the dead step by order."""
    orders = {run.workflow_id: order for order, run in runs.items()}
    table = Table(
        title="Dead letter queue",
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=SIMPLE_HEAD,
    )
    for heading in ("order", "step", "attempts", "last error", "message"):
        table.add_column(heading)
    dead: dict[str, JobView[Any]] = {}
    for job in await client.list_dlq():
        order = orders[str(job.workflow_id)]
        dead[order] = job
        table.add_row(order, job.key, str(job.attempt), job.errors[-1].kind, job.error_message)
    console.print(table)
    return dead
