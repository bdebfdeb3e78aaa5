"""An HTTP server that validates what Schedora's API validates, and does nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from fastapi import FastAPI

from schedora.entrypoints.api.schemas.job_submission import JobBatch, JobSubmission
from schedora.entrypoints.api.service import listen, url_of

if TYPE_CHECKING:
    import socket

app = FastAPI(openapi_url=None)


@app.post("/jobs", status_code=201)
async def submit(job: JobSubmission) -> None:
    """Take a job, and forget it."""


@app.post("/jobs/batch", status_code=201)
async def submit_many(batch: JobBatch) -> None:
    """Take jobs, and forget them."""


class Server(uvicorn.Server):
    """Tells where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in sockets or ():
            print(f"listening {url_of(listening)}/jobs", flush=True)


def main() -> None:
    """Serve until SIGTERM."""
    if sys.argv[1] == "setup":
        return
    with listen("127.0.0.1", 0) as listening:
        config = uvicorn.Config(
            app,
            http="httptools",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        uvloop.run(Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
