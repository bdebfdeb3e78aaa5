"""A pipe on which nothing is ever said: that it is closed tells who holds the one end that the other has died.

On Linux the kernel itself then signals, whatever the process does at that moment; elsewhere nothing happens, and
whoever cares has to notice by other means.
"""

import fcntl
import os
import select
import signal
import sys
from contextlib import suppress

from schedora.adapters.system import inherited

VARIABLE = "SCHEDORA_PARENT_DEATH_PIPE"
"""Names the descriptor of this end to the process that is to hang on it."""


class ParentDeathPipe:
    """The end of whoever is not to be outlived: closed with it, or before."""

    def __init__(self) -> None:
        self.other_end, self._own_end = os.pipe()
        """``other_end`` is for the process that is started, and is to be let go of here once it is."""

    def handed_over(self) -> None:
        os.close(self.other_end)

    def cut(self) -> None:
        os.close(self._own_end)


def hang_on(number: signal.Signals) -> None:
    """From now on this process's group gets the signal when the pipe that it was given, if any, is closed."""
    descriptor = inherited.taken(VARIABLE)
    if descriptor is None:
        return
    if sys.platform == "linux":
        with suppress(OSError):  # a system that only looks like Linux
            fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgid(0))
            fcntl.fcntl(descriptor, fcntl.F_SETSIG, number)
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_ASYNC)
        if select.select([descriptor], [], [], 0)[0]:  # cut before anybody listened
            os.killpg(0, number)
