"""Clients of the HTTP API, for programs with no access to the database: one that waits, one that awaits."""

import asyncio
import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

import httpx

from schedora.entrypoints.sdk import endpoints
from schedora.entrypoints.sdk.answer_bounds import ajoined, aread_whole, joined, read_whole
from schedora.entrypoints.sdk.conversation import Conversation, Done, Pause, Send
from schedora.entrypoints.sdk.following import Did, Following, Give, Open, ReadAll, ReadPiece
from schedora.entrypoints.sdk.server_url import api_url

P = ParamSpec("P")
T = TypeVar("T")
E = TypeVar("E")

TIMEOUT_SECONDS = 30.0


class Endpoint(Generic[P, T]):
    """A method of both clients: it holds the conversation that the endpoint describes."""

    def __init__(self, describe: Callable[P, Conversation[T]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Endpoint[P, T]": ...

    @overload
    def __get__(self, client: "SchedoraClient", owner: type) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: "AsyncSchedoraClient", owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, client: "SchedoraClient | AsyncSchedoraClient | None", owner: type) -> Any:
        if client is None:
            return self
        hold: Callable[[Conversation[T]], Any] = client.hold

        @functools.wraps(self._describe)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return hold(self._describe(*args, **kwargs))

        return call


class Stream(Generic[P, E]):
    """A method of both clients: it follows an event stream."""

    def __init__(self, describe: Callable[P, Following[E]]) -> None:
        self._describe = describe
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> "Stream[P, E]": ...

    @overload
    def __get__(self, client: "SchedoraClient", owner: type) -> Callable[P, Generator[E, None, None]]: ...

    @overload
    def __get__(self, client: "AsyncSchedoraClient", owner: type) -> Callable[P, AsyncGenerator[E, None]]: ...

    def __get__(self, client: "SchedoraClient | AsyncSchedoraClient | None", owner: type) -> Any:
        if client is None:
            return self
        follow: Callable[[Following[E]], Any] = client.follow

        @functools.wraps(self._describe)
        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return follow(self._describe(*args, **kwargs))

        return call


class _Methods:
    """What both clients can do. Each method raises ``SchedoraError``; ``errors.py`` shows the tree."""

    submit = Endpoint(endpoints.submit)
    submit_many = Endpoint(endpoints.submit_many)
    get_job = Endpoint(endpoints.get_job)
    list_jobs = Endpoint(endpoints.list_jobs)
    wait = Endpoint(endpoints.wait)
    cancel_job = Endpoint(endpoints.cancel_job)
    retry_job = Endpoint(endpoints.retry_job)
    job_events = Endpoint(endpoints.job_events)
    job_why = Endpoint(endpoints.job_why)
    job_trace = Endpoint(endpoints.job_trace)
    job_logs = Endpoint(endpoints.job_logs)
    stream_events = Stream(endpoints.stream_events)
    stream_job_events = Stream(endpoints.stream_job_events)
    stream_workflow_events = Stream(endpoints.stream_workflow_events)
    create_workflow = Endpoint(endpoints.create_workflow)
    get_workflow = Endpoint(endpoints.get_workflow)
    list_workflows = Endpoint(endpoints.list_workflows)
    workflow_status = Endpoint(endpoints.workflow_status)
    workflow_trace = Endpoint(endpoints.workflow_trace)
    wait_workflow = Endpoint(endpoints.wait_workflow)
    cancel_workflow = Endpoint(endpoints.cancel_workflow)
    retry_workflow = Endpoint(endpoints.retry_workflow)
    list_workers = Endpoint(endpoints.list_workers)
    register_worker = Endpoint(endpoints.register_worker)
    beat_worker = Endpoint(endpoints.beat_worker)
    drain_worker = Endpoint(endpoints.drain_worker)
    queue_stats = Endpoint(endpoints.queue_stats)
    pause_queue = Endpoint(endpoints.pause_queue)
    resume_queue = Endpoint(endpoints.resume_queue)
    set_retention = Endpoint(endpoints.set_retention)
    purge_queue = Endpoint(endpoints.purge_queue)
    list_dlq = Endpoint(endpoints.list_dlq)
    requeue = Endpoint(endpoints.requeue)
    delete_dead = Endpoint(endpoints.delete_dead)
    health = Endpoint(endpoints.health)
    deep_health = Endpoint(endpoints.deep_health)
    metrics = Endpoint(endpoints.metrics)


class SchedoraClient(_Methods):
    """For programs without an event loop. May be used from several threads.

    ``timeout`` is in seconds: for connecting, and for each answer beyond what a call itself waits for.
    """

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        headers: Mapping[str, str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Raises ``InvalidField`` for what is no URL of a server."""
        self._http = httpx.Client(
            base_url=api_url(base_url), timeout=timeout, headers=headers, transport=transport
        )

    def hold(self, conversation: Conversation[T]) -> T:
        """Does what the conversation asks for, until it has its result."""
        done: Done = None
        while True:
            try:
                step = conversation.send(done)
            except StopIteration as stop:
                result: T = stop.value
                return result
            done = self._do(step)

    def _do(self, step: Send | Pause) -> Done:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return read_whole(self._http.send(step.call.request(self._http), stream=True))
        except httpx.RequestError as error:
            return error

    def follow(self, following: Following[E]) -> Generator[E, None, None]:
        """Does what following asks for, and gives what it gives, until it ends."""
        done: Did = None
        with ExitStack() as opened:
            pieces: Iterator[bytes] = iter(())
            while True:
                try:
                    step = following.send(done)
                except StopIteration:
                    return
                done = None
                try:
                    match step:
                        case Give(event=event):
                            yield event
                        case Pause(seconds=seconds):
                            opened.close()
                            time.sleep(seconds)
                        case Open(call=call):
                            opened.close()
                            done = self._http.send(call.request(self._http), stream=True)
                            opened.callback(done.close)
                            pieces = done.iter_bytes()
                        case ReadPiece():
                            done = next(pieces, None)
                        case ReadAll():
                            done = joined(pieces)
                except httpx.RequestError as error:
                    done = error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSchedoraClient(_Methods):
    """For programs with an event loop: the same methods, to be awaited."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Raises ``InvalidField`` for what is no URL of a server."""
        self._http = httpx.AsyncClient(
            base_url=api_url(base_url), timeout=timeout, headers=headers, transport=transport
        )

    async def hold(self, conversation: Conversation[T]) -> T:
        """Does what the conversation asks for, until it has its result."""
        done: Done = None
        while True:
            try:
                step = conversation.send(done)
            except StopIteration as stop:
                result: T = stop.value
                return result
            done = await self._do(step)

    async def _do(self, step: Send | Pause) -> Done:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await aread_whole(await self._http.send(step.call.request(self._http), stream=True))
        except httpx.RequestError as error:
            return error

    async def follow(self, following: Following[E]) -> AsyncGenerator[E, None]:
        """Does what following asks for, and gives what it gives, until it ends."""
        done: Did = None
        async with AsyncExitStack() as opened:
            pieces: AsyncIterator[bytes] = _no_pieces()
            while True:
                try:
                    step = following.send(done)
                except StopIteration:
                    return
                done = None
                try:
                    match step:
                        case Give(event=event):
                            yield event
                        case Pause(seconds=seconds):
                            await opened.aclose()
                            await asyncio.sleep(seconds)
                        case Open(call=call):
                            await opened.aclose()
                            done = await self._http.send(call.request(self._http), stream=True)
                            opened.push_async_callback(done.aclose)
                            pieces = done.aiter_bytes()
                        case ReadPiece():
                            done = await anext(pieces, None)
                        case ReadAll():
                            done = await ajoined(pieces)
                except httpx.RequestError as error:
                    done = error

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _no_pieces() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece
