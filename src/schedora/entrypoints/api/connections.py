"""The connections of a process, and what each may cost it: room, time, memory.

An HTTP server that waits for as long as its clients like can be held up by a few hundred of them that say nothing. So
who asks must come to the point, and who has asked must take the answer. Each connection is looked at once a second, as
that costs next to nothing, while a timer for each of their steps would be paid by every request.
"""

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol

from attrs import define, field, frozen

from schedora.application.log import Logger
from schedora.entrypoints.api.problems import Problem, unavailable

log = Logger("schedora.api")

LOOK_SECONDS = 1.0
BYTES_PER_SECOND_MIN = 1_000
"""What a client sends of a body, or takes of an answer, that is worth waiting for: a telephone line of 1980 does."""

LINGER_SECONDS = 2.0
"""What a client gets to read why it was refused, while it may still send."""

TOO_SLOW = Problem(kind="too-slow", status=408, detail="The request did not come within its time limit.")
ADDRESS_TOO_LONG = Problem(
    kind="address-too-long", status=414, detail="The address is longer than the server reads."
)
HEAD_TOO_LARGE = Problem(
    kind="head-too-large", status=431, detail="The address and the headers are larger than the server reads."
)
NO_ROOM = unavailable("There are as many connections as the server holds; try again soon.")


@frozen(kw_only=True)
class Limits:
    """``slow_seconds``: what a request's head may take as a whole; and how long a body or an answer may stay below
    ``BYTES_PER_SECOND_MIN``. ``buffer_bytes``: of answers that their clients have not taken yet, all together.
    """

    connections: int
    slow_seconds: float
    head_bytes: int
    buffer_bytes: int

    @property
    def look_seconds(self) -> float:
        return min(LOOK_SECONDS, self.slow_seconds / 4)


class Phase(Enum):
    """What a connection is in the middle of, seen from its client."""

    ASKING = "a head"
    """Between requests, or in the first part of one."""
    SENDING = "a body"
    WAITING = "an answer"
    """For an answer of ours; nothing is expected of the client."""
    OVER = "the rest of a body"
    """The answer was given before the body had come; what comes of it is thrown away."""
    LEAVING = "nothing"
    """It has been told that it is over."""


EXPENDABLE = frozenset({Phase.ASKING, Phase.OVER, Phase.LEAVING})
"""Who waits for nothing of ours."""


class Connected(Protocol):
    """One connection, as the protocol has it."""

    received_bytes: int
    """Since it was made."""
    head_bytes: int
    """Of a head that is not complete."""

    def step(self) -> tuple[Phase, object]:
        """The phase, and what tells it from the same phase of another request."""
        ...

    def unsent_bytes(self) -> int: ...

    def held_back(self) -> bool:
        """Whether it is we who do not read."""
        ...

    def refuse(self, problem: Problem) -> None:
        """Says so, unless something else is being said, and closes."""
        ...

    def close(self) -> None:
        """Once all is sent."""
        ...

    def abort(self) -> None:
        """At once."""
        ...


@define(eq=False)
class _Watched:
    """What the last looks saw."""

    connected: Connected
    step: tuple[Phase, object] | None = None
    since: float = 0
    """When this step began, as far as looks can tell."""
    window_at: float = 0
    """When the rate was last found to do; likewise ``window_bytes``, what had been received by then."""
    window_bytes: int = 0
    unsent_at: float | None = None
    unsent_bytes: int = 0


class Connections:
    """All of this process. ``monotonic`` is the time in seconds; ``tell_of`` hears the status of each refusal that no
    request stands for.
    """

    def __init__(
        self, limits: Limits, *, monotonic: Callable[[], float], tell_of: Callable[[int], None]
    ) -> None:
        self.limits = limits
        self._monotonic = monotonic
        self._tell_of = tell_of
        self._watched: dict[Connected, _Watched] = {}
        self._looked_at: float | None = None
        self._now = 0.0
        self._waiting_longest: Iterator[_Watched] | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def enter(self, connected: Connected) -> bool:
        """Whether there is room, or can be made by closing one that has asked nothing for longest."""
        if len(self._watched) >= self.limits.connections and not self._make_room():
            self._tell_of(NO_ROOM.status)
            return False
        self._watched[connected] = _Watched(connected, since=self._now, window_at=self._now)
        return True

    def leave(self, connected: Connected) -> None:
        self._watched.pop(connected, None)

    def refuse(self, connected: Connected, problem: Problem) -> None:
        """Ends it, and says why where that can be said."""
        if connected.step()[0] in {Phase.ASKING, Phase.OVER}:
            self._tell_of(problem.status)  # else the request that ends by it is told of
        connected.refuse(problem)

    def look(self) -> None:
        """Ends what takes too long."""
        self._pass_time()
        for watched in tuple(self._watched.values()):
            self._look_at(watched)
        self._bound_answers()
        self._waiting_longest = None

    def _pass_time(self) -> None:
        """While this process itself stood still, nobody could be read: that is not held against its clients."""
        at = self._monotonic()
        if self._looked_at is not None:
            self._now += min(at - self._looked_at, 2 * self.limits.look_seconds)
        self._looked_at = at

    def _look_at(self, watched: _Watched) -> None:
        connected = watched.connected
        step = connected.step()
        if step != watched.step:
            watched.step, watched.since = step, self._now
            self._begin_window(watched)
        if self._does_not_take(watched):
            log.warning(
                "connection ended: its client does not take the answer", unsent_bytes=watched.unsent_bytes
            )
            connected.abort()
            return
        waited_seconds = self._now - watched.since
        match step[0]:
            case Phase.ASKING if waited_seconds >= self.limits.slow_seconds:
                if connected.head_bytes:
                    self.refuse(connected, TOO_SLOW)
                else:
                    connected.close()  # as browsers expect of connections that they have in reserve
            case Phase.SENDING if self._sends_too_little(watched):
                self.refuse(connected, TOO_SLOW)
            case Phase.OVER if waited_seconds >= self.limits.slow_seconds:
                connected.close()
            case Phase.LEAVING if waited_seconds >= LINGER_SECONDS:
                connected.close()
            case _:
                pass

    def _begin_window(self, watched: _Watched) -> None:
        watched.window_at, watched.window_bytes = self._now, watched.connected.received_bytes

    def _sends_too_little(self, watched: _Watched) -> bool:
        if watched.connected.held_back():
            self._begin_window(watched)
        window_seconds = self._now - watched.window_at
        if window_seconds < self.limits.slow_seconds:
            return False
        received_bytes = watched.connected.received_bytes - watched.window_bytes
        self._begin_window(watched)
        return received_bytes < BYTES_PER_SECOND_MIN * window_seconds

    def _does_not_take(self, watched: _Watched) -> bool:
        unsent_bytes = watched.connected.unsent_bytes()
        if not unsent_bytes or watched.unsent_at is None or unsent_bytes > watched.unsent_bytes:
            # Nothing waits; or more was said, by a stream, which has a limit of its own for how long that goes well.
            watched.unsent_at = self._now if unsent_bytes else None
            watched.unsent_bytes = unsent_bytes
            return False
        window_seconds = self._now - watched.unsent_at
        if window_seconds < self.limits.slow_seconds:
            return False
        taken_bytes = watched.unsent_bytes - unsent_bytes
        watched.unsent_at, watched.unsent_bytes = self._now, unsent_bytes
        return taken_bytes < BYTES_PER_SECOND_MIN * window_seconds

    def _bound_answers(self) -> None:
        """Those go first that wait for longest."""
        waiting = [one for one in self._watched.values() if one.unsent_at is not None]
        total_bytes = sum(one.unsent_bytes for one in waiting)
        if total_bytes <= self.limits.buffer_bytes:
            return
        waiting.sort(key=lambda one: (one.unsent_at or 0, -one.unsent_bytes))
        for ended, watched in enumerate(waiting, start=1):
            total_bytes -= watched.unsent_bytes
            watched.connected.abort()
            if total_bytes <= self.limits.buffer_bytes:
                log.warning(
                    "connections ended: too much waits for their clients to take it", connections=ended
                )
                return

    def _make_room(self) -> bool:
        if self._waiting_longest is None:
            # Once a look: else a flood of connections would have all of them gone through for each.
            idle = [
                one for one in self._watched.values() if one.step is not None and one.step[0] in EXPENDABLE
            ]
            self._waiting_longest = iter(sorted(idle, key=lambda one: one.since))
        for watched in self._waiting_longest:
            if watched.connected in self._watched and watched.connected.step() == watched.step:
                self._watched.pop(watched.connected)
                watched.connected.abort()
                return True
        return False


@define
class Room:
    """Bytes of requests that may be in memory at a time, all together."""

    limit_bytes: int
    taken_bytes: int = field(default=0, init=False)

    def take(self, size_bytes: int) -> bool:
        """Whether there was so much."""
        if self.taken_bytes + size_bytes > self.limit_bytes:
            return False
        self.taken_bytes += size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        self.taken_bytes -= size_bytes
