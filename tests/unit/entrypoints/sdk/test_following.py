"""Following a stream: what is done when it breaks off. No I/O."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from schedora import JobMove, NotFoundError, StreamGap, StreamReady, Unavailable, WorkflowStatus
from schedora.entrypoints.sdk.conversation import Pause
from schedora.entrypoints.sdk.errors import ServerError
from schedora.entrypoints.sdk.following import Give, Open, ReadAll, ReadPiece, follow

ID = "0198f000-0000-7000-8000-000000000000"
MOVE = (
    b'event: job\ndata: {"at":"2030-01-31T08:00:00Z","from":null,"to":"PENDING","attempt":0,"worker_id":null,'
    b'"reason":null,"job_id":"%s","type":"work","queue":"mail","workflow_id":null,"new_field":1}\nid: %%s\n\n'
    % ID.encode()
)
STATUS = (
    b'event: workflow\ndata: {"workflow_id":"%s","status":"RUNNING","total_jobs":2,"completed_jobs":0,'
    b'"pending_jobs":1,"failed_jobs":0,"running_jobs":1,"canceled_jobs":0}\n\n' % ID.encode()
)
END = b'event: end\ndata: {"status":"SUCCESS"}\nid: 9-end\n\n'


class Walk:
    """Steps through, as a client would."""

    def __init__(self, **more: Any) -> None:
        self.following = follow("/events", {}, **{"after": None, "patience": timedelta(seconds=60), **more})
        self.step: Any = next(self.following)
        self.given: list[Any] = []

    def answer(self, what: Any) -> None:
        """Sends what came of the step, and takes what is given."""
        self.step = self.following.send(what)
        while isinstance(self.step, Give):
            self.given.append(self.step.event)
            self.step = self.following.send(None)

    def ends_with(self, what: Any) -> None:
        with pytest.raises(StopIteration):
            self.answer(what)

    @property
    def last_id(self) -> str | None:
        assert isinstance(self.step, Open)
        return self.step.call.headers.get("Last-Event-ID")

    def pause(self) -> float:
        assert isinstance(self.step, Pause)
        seconds = self.step.seconds
        self.answer(None)
        return seconds


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]

    def move(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("schedora.entrypoints.sdk.following.time.monotonic", lambda: now[0])
    return move


def test_what_is_told_is_given_as_values() -> None:
    walk = Walk()
    walk.answer(httpx.Response(200))
    walk.answer(b'retry: 1500\n\nevent: ready\ndata: {"at":"2030-01-31T08:00:00Z"}\nid: 1\n\n' + MOVE % b"2")
    walk.answer(
        STATUS + b'event: gap\ndata: {"reason":"lost"}\n\nevent: news\ndata: {}\n\n: keep-alive\nid: 3\n\n'
    )
    assert isinstance(walk.step, ReadPiece)
    ready, move, status, gap = walk.given
    assert isinstance(ready, StreamReady)
    assert isinstance(move, JobMove)
    assert (move.event_id, str(move.job_id), move.from_state, move.to_state) == ("2", ID, None, "PENDING")
    assert isinstance(status, WorkflowStatus)
    assert gap == StreamGap(reason="lost")
    walk.ends_with(END)


def test_it_goes_on_where_it_broke_off() -> None:
    walk = Walk(after="0")
    assert walk.last_id == "0"
    walk.answer(httpx.Response(200))
    walk.answer(b"retry: 4000\n\n" + MOVE % b"2")
    walk.answer(b": keep-alive\nid: 3\n\n")
    walk.answer(httpx.ReadError("cut off"))
    assert 2 <= walk.pause() <= 4
    assert walk.last_id == "3"
    walk.answer(httpx.Response(200))
    walk.answer(b'event: dropped\ndata: {"reason":"stopping"}\n\n')
    walk.answer(None)
    assert 0.5 <= walk.pause() <= 1
    assert walk.last_id == "3"
    walk.ends_with(httpx.Response(204))


def test_pauses_grow_while_the_server_is_away_and_obey_what_it_asks(
    pass_time: Callable[[float], None],
) -> None:
    walk = Walk()
    walk.answer(httpx.Response(200))
    walk.answer(b"retry: 1000\n\n")
    walk.answer(None)
    pauses = []
    for _ in range(4):
        pauses.append(walk.pause())
        walk.answer(httpx.ConnectError("refused"))
    assert pauses[0] <= 1
    assert pauses[3] >= 4
    walk.pause()
    walk.answer(httpx.Response(503, headers={"Retry-After": "45"}))
    walk.answer(b"{}")
    assert walk.pause() == 45


def test_a_server_that_stays_away_is_given_up(pass_time: Callable[[float], None]) -> None:
    walk = Walk()
    walk.answer(httpx.Response(200))
    walk.answer(MOVE % b"2")
    walk.answer(httpx.RemoteProtocolError("cut off"))
    walk.pause()
    pass_time(60)
    walk.answer(httpx.ConnectError("refused"))
    walk.pause()
    pass_time(1)
    with pytest.raises(Unavailable, match="refused"):
        walk.answer(httpx.ConnectError("refused"))


def test_a_server_that_was_never_there_is_given_up_soon() -> None:
    walk = Walk()
    for _ in range(2):
        walk.answer(httpx.ConnectError("refused"))
        walk.pause()
    with pytest.raises(Unavailable, match="refused"):
        walk.answer(httpx.ConnectError("refused"))


def test_a_refusal_is_raised() -> None:
    walk = Walk()
    walk.answer(httpx.Response(404))
    assert isinstance(walk.step, ReadAll)
    with pytest.raises(NotFoundError, match="no such job"):
        walk.answer(b'{"status": 404, "detail": "no such job"}')


def test_a_refusal_that_breaks_off_is_raised_all_the_same() -> None:
    walk = Walk()
    walk.answer(httpx.Response(404))
    with pytest.raises(NotFoundError):
        walk.answer(httpx.ReadError("cut off"))


def test_an_event_that_makes_no_sense_is_the_servers_fault() -> None:
    walk = Walk()
    walk.answer(httpx.Response(200))
    with pytest.raises(ServerError, match="can't be read"):
        walk.answer(b"event: job\ndata: {}\n\n")
