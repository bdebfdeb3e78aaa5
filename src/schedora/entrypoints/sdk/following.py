"""One event stream as a client follows it: opened, read, and opened again where it broke off. No I/O here.

Following is a generator, as a conversation is: it yields what is to be done and what is to be given to the caller, and
is sent what came of it.
"""

import random
import time
from collections.abc import Generator, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar

import httpx
from attrs import define, field, frozen

from schedora.application.backoff import Backoff
from schedora.application.encoding import decode_json
from schedora.application.errors import NotJson
from schedora.entrypoints.sdk import conversation
from schedora.entrypoints.sdk.answer_bounds import RETRY_AFTER_MAX
from schedora.entrypoints.sdk.conversation import Call, Pause, refusal
from schedora.entrypoints.sdk.decoding import nothing, structured
from schedora.entrypoints.sdk.errors import ServerError, Unavailable
from schedora.entrypoints.sdk.event_parser import EventParser, EventTooLong, SentEvent
from schedora.entrypoints.sdk.event_views import JobMove, StreamGap, StreamReady
from schedora.entrypoints.sdk.views import WorkflowStatus

E = TypeVar("E")

SILENCE = timedelta(seconds=15)
"""The server says something at least this often; what is silent for longer, and a timeout, is broken."""

FIRST_PAUSE = timedelta(seconds=1)
"""Unless the server asks for another one."""
LONGEST_PAUSE = timedelta(seconds=30)
PATIENCE = timedelta(seconds=60)

_KINDS: Mapping[str, type[Any]] = {
    "job": JobMove,
    "workflow": WorkflowStatus,
    "ready": StreamReady,
    "gap": StreamGap,
}


@frozen(kw_only=True)
class Open:
    """To be sent; what comes back is the response, unread, or the error that came instead of one."""

    call: Call[None]


@frozen
class ReadPiece:
    """The next piece of the body; None at its end, or the error."""


@frozen
class ReadAll:
    """All of the body, or the error."""


@frozen
class Give(Generic[E]):
    """For the caller."""

    event: E


Did = httpx.Response | bytes | httpx.RequestError | None
Step = Open | ReadPiece | ReadAll | Pause | Give[E]
Following = Generator[Step[E], Did, None]


@define
class _Place:
    """How far it got."""

    last_id: str | None
    backoff: Backoff
    first_tries: int = field(factory=lambda: len(conversation.PAUSES_SECONDS))
    """What is left of them."""
    reached_at: float | None = None
    """When the server last said something, in seconds; None before it did."""

    def pause(self, failure: Unavailable, patience: timedelta) -> Pause:
        """Before the next try. Raises ``failure`` when it is time to give up."""
        if self.reached_at is None:
            self.first_tries -= 1
            if self.first_tries < 0:
                raise failure
        elif time.monotonic() - self.reached_at > patience.total_seconds():
            raise failure
        return Pause(
            seconds=max(
                self.backoff.next(), min(failure.retry_after or timedelta(0), RETRY_AFTER_MAX)
            ).total_seconds()
        )


def follow(path: str, query: Mapping[str, Any], *, after: str | None, patience: timedelta) -> Following[Any]:
    """Gives what the stream tells, to its end; behind the event ``after``, if that is given.

    Comes back to a server that was reached and is away, until it has been away for ``patience``. Raises
    ``SchedoraError``.
    """
    place = _Place(after, _backoff(FIRST_PAUSE))
    while True:
        call = _call(path, query, place.last_id)
        done = yield Open(call=call)
        if isinstance(done, httpx.Response) and done.is_success:
            if (yield from _given(done, place)):
                return
            failure = Unavailable("the event stream broke off")
        elif isinstance(done, httpx.Response):
            body = yield ReadAll()
            error = refusal(call, done, body if isinstance(body, bytes) else b"")
            if not isinstance(error, Unavailable):
                raise error
            failure = error
        else:
            failure = Unavailable(f"no answer from the API: {str(done) or type(done).__name__}")
        yield place.pause(failure, patience)


def _given(response: httpx.Response, place: _Place) -> Generator[Step[Any], Did, bool]:
    """Gives what this response tells; True when there is nothing more to come."""
    if response.status_code == httpx.codes.NO_CONTENT:
        return True
    place.reached_at = time.monotonic()
    parser = EventParser()
    while isinstance(piece := (yield ReadPiece()), bytes):
        for sent in _parsed(parser, piece):
            place.reached_at = time.monotonic()
            place.last_id = sent.event_id or place.last_id
            if sent.event == "end":
                return True
            if (event := _event(sent)) is not None:
                yield Give(event)
    pause = FIRST_PAUSE if parser.retry_seconds is None else timedelta(seconds=parser.retry_seconds)
    place.backoff = _backoff(pause)
    return False


def _parsed(parser: EventParser, piece: bytes) -> list[SentEvent]:
    try:
        return parser.feed(piece)
    except EventTooLong as error:
        raise ServerError(str(error)) from error


def _call(path: str, query: Mapping[str, Any], last_id: str | None) -> Call[None]:
    headers = {"Accept": "text/event-stream"} | ({} if last_id is None else {"Last-Event-ID": last_id})
    return Call(method="GET", path=path, query=query, headers=headers, decode=nothing, patience=SILENCE)


def _event(sent: SentEvent) -> Any:
    """None for an event of a kind that this version does not know, and for none."""
    kind = _KINDS.get(sent.event)
    if kind is None or not sent.data:
        return None
    try:
        document = decode_json(sent.data)
        return structured({**document, "event_id": sent.event_id}, kind)
    except (NotJson, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ServerError(f"an event of the stream can't be read: {error!r}") from error


def _backoff(first: timedelta) -> Backoff:
    return Backoff(random.random, first=min(first, LONGEST_PAUSE), longest=LONGEST_PAUSE)
