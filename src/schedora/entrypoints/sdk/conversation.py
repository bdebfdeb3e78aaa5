"""One talk with the API: what is sent, what is tried again, what an answer means. No I/O here.

A conversation is a generator: it yields what is to be done, is sent what came of it, and returns the result.
So both clients, the one that waits and the one that awaits, share all but the doing.
"""

from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from attrs import field, frozen

from schedora.application.encoding import decode_json, encode_json
from schedora.application.errors import FieldError, NotJson
from schedora.entrypoints.sdk.caller_trace import TRACEPARENT, caller_trace
from schedora.entrypoints.sdk.decoding import Decode
from schedora.entrypoints.sdk.errors import Problem, SchedoraError, ServerError, Unavailable, error_of

T = TypeVar("T")

PAUSES_SECONDS = (0.1, 0.5)
"""Before the second try, and before the third and last."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_CUT_OFF = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


@frozen(kw_only=True)
class Call(Generic[T]):
    """One request, and how its answer is read.

    ``repeatable``: doing it twice is as good as doing it once. ``patience`` is how long the server may take
    on purpose. ``accept`` may find an answer in a refusal; None where there is none.
    """

    method: str
    path: str
    decode: Decode[T]
    query: Mapping[str, Any] = field(factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(factory=dict)
    repeatable: bool = False
    patience: timedelta = timedelta(0)
    accept: Callable[[Problem], T | None] | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """Raises ``NotJson``."""
        timeout = http.timeout
        if self.patience:
            patience_seconds = self.patience.total_seconds()
            read_seconds = None if timeout.read is None else timeout.read + patience_seconds
            timeout = httpx.Timeout(
                connect=timeout.connect, read=read_seconds, write=timeout.write, pool=timeout.pool
            )
        headers = dict(self.headers)
        if TRACEPARENT not in http.headers and (trace := caller_trace()) is not None:
            headers.setdefault(TRACEPARENT, trace.traceparent)
        content = None
        if self.body is not None:
            content = encode_json(self.body).encode()
            headers["Content-Type"] = "application/json"
        return http.build_request(
            self.method, self.path, params=self.query, content=content, headers=headers, timeout=timeout
        )


@frozen(kw_only=True)
class Send:
    """To be sent; what comes back is the response, or the error that came instead of one."""

    call: Call[Any]


@frozen(kw_only=True)
class Pause:
    """To be slept."""

    seconds: float


Done = httpx.Response | httpx.RequestError | None
"""What came of a step; None of a pause."""

Conversation = Generator[Send | Pause, Done, T]


def ask(call: Call[T]) -> Conversation[T]:
    """The answer to one call. Raises ``SchedoraError``."""
    for pause_seconds in (*PAUSES_SECONDS, None):
        done = yield Send(call=call)
        if isinstance(done, httpx.Response):
            return _understood(call, done)
        again = isinstance(done, _NEVER_SENT) or (call.repeatable and isinstance(done, _CUT_OFF))
        if not again or pause_seconds is None:
            raise Unavailable(f"no answer from the API: {str(done) or type(done).__name__}") from done
        yield Pause(seconds=pause_seconds)
    raise AssertionError("the last try ends the loop")


def _understood(call: Call[T], response: httpx.Response) -> T:
    if response.is_success:
        try:
            return call.decode(response.content)
        except (NotJson, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ServerError(f"the answer to {call.method} {call.path} can't be read: {error!r}") from error
    problem = _problem(response, response.content)
    if call.accept is not None and (accepted := call.accept(problem)) is not None:
        return accepted
    raise _error(call, response, problem)


def refusal(call: Call[Any], response: httpx.Response, body: bytes) -> SchedoraError:
    """What an answer that is no success means."""
    return _error(call, response, _problem(response, body))


def _error(call: Call[Any], response: httpx.Response, problem: Problem) -> SchedoraError:
    return error_of(problem, f"{call.method} {call.path}", _retry_after(response))


def _problem(response: httpx.Response, body: bytes) -> Problem:
    """Also of an answer that is none of the API's, such as a proxy's."""
    try:
        document = decode_json(body)
    except NotJson:
        document = None
    if not isinstance(document, dict):
        return Problem(status=response.status_code, title=response.reason_phrase)
    told = document.get("errors")
    errors = [error for error in told if isinstance(error, dict)] if isinstance(told, list) else []
    return Problem(
        status=response.status_code,
        type=str(document.get("type", "about:blank")),
        title=str(document.get("title", response.reason_phrase)),
        detail=str(document.get("detail", "")),
        errors=tuple(
            FieldError(field=str(error.get("field", "")), message=str(error.get("message", "")))
            for error in errors
        ),
        trace_id=document.get("trace_id"),
        members=document,
    )


def _retry_after(response: httpx.Response) -> timedelta | None:
    text = response.headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 10 else None


def in_path(part: object) -> str:
    """``part`` as one segment of a path. Raises ``ValueError`` for an empty one, which would be another path."""
    text = str(part)
    if not text:
        raise ValueError("an empty name can't be part of an address")
    return quote(text, safe="")
