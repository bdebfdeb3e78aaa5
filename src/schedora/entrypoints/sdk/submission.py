"""Prepared jobs become stored ones."""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from schedora.application.errors import TooLarge
from schedora.entrypoints.sdk.definition import PreparedJob
from schedora.entrypoints.sdk.views import JobView, submitted_view

R = TypeVar("R")

if TYPE_CHECKING:
    from schedora.entrypoints.system import System


def shared_connection(jobs: Sequence[PreparedJob[Any]], connection: object = None) -> object:
    """The connection that all of these are to be submitted on. Raises ``ValueError`` when they differ."""
    for job in jobs:
        if job.connection is None or job.connection is connection:
            continue
        if connection is not None:
            raise ValueError("jobs that are submitted together can't be on different connections")
        connection = job.connection
    return connection


def synchronous(connection: object) -> object:
    """``connection``, which must be one for the synchronous forms.

    Raises ``TypeError`` before an asynchronous one is touched: half a statement would break it for its owner.
    """
    execute = getattr(connection, "execute", None)
    # Pooled connections wrap the methods of real ones.
    if execute is not None and inspect.iscoroutinefunction(inspect.unwrap(execute)):
        raise TypeError(
            f"a {type(connection).__module__}.{type(connection).__qualname__} is asynchronous: use the"
            " asynchronous form of this call"
        )
    return connection


async def submit_prepared(system: "System", job: PreparedJob[R], connection: object) -> JobView[R]:
    """Stores it. Waits for nothing but the store."""
    request = job.request
    check_size("payload", request.payload, system.settings.max_payload_bytes)
    (submission,) = await system.submit_jobs([request], connection=connection)
    return submitted_view(submission)


async def submit_all_prepared(
    system: "System", jobs: Sequence[PreparedJob[Any]], connection: object
) -> list[JobView[Any]]:
    """Stores them all or none. Waits for nothing but the store."""
    bytes_max = system.settings.max_payload_bytes
    requests = [job.request for job in jobs]
    for request in requests:
        check_size("payload", request.payload, bytes_max)
    submissions = await system.submit_jobs(requests, connection=connection)
    return [submitted_view(submission) for submission in submissions]


def check_size(field: str, document: str, bytes_max: int) -> None:
    """Raises ``TooLarge``."""
    size_bytes = len(document) if document.isascii() else len(document.encode())
    if size_bytes > bytes_max:
        raise TooLarge(field, size_bytes, bytes_max)
