"""A payment at a service that is asked over HTTP: the key makes it happen once, the token keeps an older run from the last word.

The key is made of the job's id, which is the same in every run. ``attempt`` must not be in it: then a second run would pay again.
"""

import os
from http import HTTPStatus

import httpx
from examples.fencing.stale import StaleRun

from schedora import JobContext, Schedora

app = Schedora()


def take_payment(client: httpx.Client, ctx: JobContext, order: str, cents: int) -> int:
    """The number of the payment, however often it is asked for."""
    key = f'"{ctx.job_id}/payment"'  # a string, as the header's draft has it
    answer = client.post("/payments", json={"order": order, "cents": cents}, headers={"Idempotency-Key": key})
    number: int = answer.raise_for_status().json()["payment"]
    return number


def say_state(client: httpx.Client, ctx: JobContext, order: str, state: str) -> None:
    """How the order stands. Raises ``StaleRun``."""
    headers = {"Lease-Token": str(ctx.lease_token)}
    answer = client.put(f"/orders/{order}", json={"state": state}, headers=headers)
    if answer.status_code == HTTPStatus.CONFLICT:
        raise StaleRun(
            f"order {order} has heard of token {answer.json()['newest']}, and this run has {ctx.lease_token}"
        )
    answer.raise_for_status()


@app.job("pay")
def pay(ctx: JobContext, order: str, cents: int) -> int:
    """Take the money, then tell."""
    with httpx.Client(base_url=os.environ["BANK_URL"]) as client:
        number = take_payment(client, ctx, order, cents)
        say_state(client, ctx, order, f"paid by {number}")
    return number
