"""What happens to jobs, told to whoever looks on.

Told after the commit, at most once, and only while there is a listener: what a process still has to tell is lost
with it, and the record is the truth. What is known to be lost is said. Notices of one publisher come in their order;
those of two may cross, for each tells by itself: what a job's own order is, its ``JobEvent``s say.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NewType, Protocol

from attrs import frozen

from schedora.domain.events import Notice

Position = NewType("Position", str)
"""A place in all that was told. Opaque, and good for some minutes."""

LOOK_INTERVAL: Final = timedelta(seconds=1)
"""For so long a publisher may go by what it last learnt of the listener, when that was that there is none."""


@frozen(kw_only=True)
class Told:
    """``position`` is the place behind it."""

    position: Position
    notice: Notice


@frozen(kw_only=True)
class Reading:
    """``position`` continues behind what was read. Not ``complete``: some of what was told after the position that
    was asked for is gone, or was lost before it could be told; or nobody can say. ``out_of_reach``: there may be
    more that can't be read for now; who goes on from ``position`` gets it later.
    """

    told: tuple[Told, ...]
    position: Position
    complete: bool
    out_of_reach: bool = False


class Events(Protocol):
    @property
    def wanted(self) -> bool:
        """Whether anyone may be listening. Cheap: to be asked before notices are made. Thread-safe."""
        ...

    def publish(self, notices: Sequence[Notice], *, lost: int = 0) -> None:
        """Tells them soon, if there is a listener. ``lost`` is how many before them could not be told.

        Of too many that wait to be told the oldest are dropped. Never blocks, never raises. Thread-safe.
        """
        ...

    async def attend(self, span: timedelta) -> None:
        """There is a listener from now on and for so long, to be renewed by whoever listens.

        Returns once every publisher will have seen it: at once where this process has attended ever since that
        was so, after ``LOOK_INTERVAL`` where the listener may be new. Raises ``StoreUnavailable``.
        """
        ...

    async def now(self) -> Position:
        """Behind all that was told. Raises ``StoreUnavailable``."""
        ...

    async def read(self, after: Position, *, limit: int, patience: timedelta) -> Reading:
        """What was told after this position, at most so many. Where there is nothing, waits for it up to
        ``patience``. A position that is gone, or is none, is no error: the reading is not complete then.

        Raises ``StoreUnavailable``.
        """
        ...

    async def prune(self, older_than: timedelta) -> None:
        """Forgets what was told longer ago. Raises ``StoreUnavailable``."""
        ...
