"""A report in an object store that has conditional writes: the object carries the lease token of the run that wrote it.

Read what is there, refuse oneself where a later run was here, and write over that very version alone. If another run writes in
between, the store refuses, and one looks again: so an older run never has the last word.
"""

import os
from http import HTTPStatus

import httpx
from examples.fencing.stale import StaleRun

from schedora import JobContext, Schedora

app = Schedora()

TOKEN = "x-amz-meta-lease-token"  # noqa: S105 - no password
JOB = "x-amz-meta-job"
BETWEEN = {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}


def put(client: httpx.Client, name: str, body: str, ctx: JobContext) -> None:
    """Write unless a later run of the same job has. Raises ``StaleRun``."""
    mine = {JOB: str(ctx.job_id), TOKEN: str(ctx.lease_token)}
    while True:
        known = client.head(name)
        if known.status_code == HTTPStatus.NOT_FOUND:
            condition = {"If-None-Match": "*"}
        else:
            known.raise_for_status()
            same_job = known.headers.get(JOB) == mine[JOB]
            if same_job and int(known.headers[TOKEN]) > ctx.lease_token:
                raise StaleRun(
                    f"{name} is of token {known.headers[TOKEN]}, and this run has {ctx.lease_token}"
                )
            condition = {"If-Match": known.headers["ETag"]}
        answer = client.put(name, content=body, headers={**mine, **condition})
        if answer.status_code not in BETWEEN:
            answer.raise_for_status()
            return


@app.job("report")
def report(ctx: JobContext, month: str, total: int) -> str:
    """Google Cloud Storage takes ``x-goog-if-generation-match`` in place of ``If-Match``; the rest is the same."""
    name = f"/reports/{month}.txt"
    with httpx.Client(base_url=os.environ["BUCKET_URL"]) as client:
        put(client, name, f"{month}: {total}", ctx)
    return name
