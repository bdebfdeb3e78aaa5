"""The first act: nine orders come in, one of them for the second time; six can be delivered."""

from collections.abc import Sequence

import asyncpg
import httpx
from examples.demo.checks import Checks
from examples.demo.graph_picture import draw_graph, legend
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

from schedora import AsyncSchedoraClient

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


async def submit_orders(
    api: httpx.AsyncClient, *, run_name: str, console: Console, checks: Checks
) -> dict[str, str]:
    """Post every order as a workflow; return their titles by workflow id.

    The second copy of the same order must be refused with 409.
    """
    titles: dict[str, str] = {}
    refused: list[str] = []
    for form in load_orders():
        name = f"order {form['order_id']} of {run_name}"
        response = await api.post("/api/v1/workflows", json=order_graph(form, name=name))
        if response.status_code == httpx.codes.CONFLICT:
            problem = response.json()
            refused.append(form["order_id"])
            console.print(
                f"   {form['order_id']} came in twice: [bold yellow]409[/] {problem['title']}"
                f" [dim]{problem['detail']}[/]",
                highlight=False,
            )
            continue
        response.raise_for_status()
        titles[response.json()["data"]["workflow_id"]] = form["order_id"]
    checks.expect(
        "the order that came in twice was refused the second time",
        holds=refused == [SUBMITTED_TWICE],
        found=f"409 for {', '.join(refused) or 'none'}",
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
    charge = runs[DECLINED].step("charge")
    dead = await _dead_letters(runs, client=client, console=console)
    winners = [order for order in RIVALS if runs[order].succeeded]
    checks.expect("six orders were delivered", holds=len(delivered) == 6, found=", ".join(delivered))
    checks.expect(
        "the declined card was tried three times, then given up",
        holds=(charge.status, charge.attempt) == ("DEAD", 3) and dead.get(DECLINED) == "CardDeclinedError",
        found=f"{charge.status} after {charge.attempt} attempts, in the dead letter queue as {dead.get(DECLINED)}",
    )
    checks.expect(
        "what waited for the declined charge was canceled",
        holds={runs[DECLINED].step(key).status for key in ("fraud", "gateway", "invoice", "confirm")}
        == {"CANCELED"},
        found="upstream_failed",
    )
    checks.expect(
        "two wanted the last sextant, one got it", holds=len(winners) == 1, found=", ".join(winners)
    )
    await _judge_shelf(settings, checks)
    invoices = sorted(path.name for path in settings.invoices.glob("*.html"))
    checks.expect(
        "there is an invoice for each delivered order and no other",
        holds=invoices == [f"INV-{order}.html" for order in delivered],
        found=f"{len(invoices)} pages",
    )
    mails = [path.name.split(".")[0] for path in mailbox.mails()]
    checks.expect(
        "a mail was received for each delivered order and no other",
        holds=mails == delivered,
        found=f"{len(mails)} mails over SMTP",
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
) -> dict[str, str]:
    """Show what of these orders is in the dead letter queue; return the kind of its last error by order."""
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
    kinds: dict[str, str] = {}
    page = await client.list_dlq(limit=500)
    for job in page.data:
        order = orders.get(str(job.workflow_id))
        if order is None:
            continue  # of an earlier run on the same data directory
        kinds[order] = job.errors[-1].kind
        table.add_row(order, job.key, str(job.attempt), kinds[order], job.error_message)
    console.print(table)
    return kinds
