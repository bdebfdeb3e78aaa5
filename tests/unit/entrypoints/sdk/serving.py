"""A whole system in memory, served over HTTP by a thread of this process."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import structlog
from structlog.typing import EventDict, WrappedLogger

from schedora import Schedora
from schedora.entrypoints.api.service import ApiService, listen
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import Settings
from schedora.entrypoints.worker import WorkerService

WORKER_ID = "the-worker"
QUEUES_SERVED = ("default", "other")
"""What waits in any other queue waits for ever."""


@contextmanager
def served() -> Iterator[str]:
    """The URL of the server, for as long as the context lasts; nothing is logged meanwhile."""
    listening = listen("127.0.0.1", 0)
    ready, stop = threading.Event(), threading.Event()
    urls: list[str] = []

    def heard(url: str) -> None:
        urls.append(url)
        ready.set()

    with _silent_logs():
        thread = threading.Thread(target=lambda: asyncio.run(_serve(listening, heard, stop)))
        thread.start()
        try:
            assert ready.wait(30)
            yield urls[0]
        finally:
            stop.set()
            thread.join()


def _app() -> Schedora:
    app = Schedora()

    @app.job("say")
    def say(words: list[str], *, fails: bool = False) -> None:
        """Logs each of the words, with its number."""
        for number, word in enumerate(words, 1):
            logging.getLogger("say").warning(word, extra={"number": number})
        if fails:
            try:
                int("it broke")
            except ValueError:
                logging.getLogger("say").exception("failed")

    return app


async def _serve(listening: socket.socket, heard: Callable[[str], None], stop: threading.Event) -> None:
    settings = Settings(_env_file=None, worker_shutdown_timeout=0)  # type: ignore[call-arg] # how pydantic takes it
    system = build_system(settings, database_url=None)
    await system.open()
    worker = WorkerService(system, _app().handlers, queues=QUEUES_SERVED, concurrency=10, worker_id=WORKER_ID)
    api = ApiService(system, listening, on_ready=heard)
    running = [asyncio.create_task(service.run()) for service in (worker, api)]
    await asyncio.to_thread(stop.wait)
    for service in (worker, api):
        service.stop()
    await asyncio.gather(*running)
    await system.end_queries()
    await system.close()


@contextmanager
def _silent_logs() -> Iterator[None]:
    """The server shares this process's streams: what it logs must not stand in what a test reads there."""
    before = structlog.get_config() if structlog.is_configured() else None
    structlog.configure(processors=[_unsaid])
    try:
        yield
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)


def _unsaid(_: WrappedLogger, __: str, ___: EventDict) -> NoReturn:
    raise structlog.DropEvent
