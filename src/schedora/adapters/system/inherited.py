"""File descriptors that a process was started with for its own use, each named by a variable of the environment."""

import os
from contextlib import suppress

_taken: dict[str, int] = {}


def taken(variable: str) -> int | None:
    """The descriptor, if there is one. It is for this process alone: what it starts does not get it."""
    told = os.environ.pop(variable, "")
    if told.isdigit():
        with suppress(OSError):  # not what it is said to be
            os.set_inheritable(int(told), False)
            _taken[variable] = int(told)
    return _taken.get(variable)


def hand_on() -> None:
    """All of them to the program that takes this one's place in the process."""
    for variable, descriptor in _taken.items():
        os.set_inheritable(descriptor, True)
        os.environ[variable] = str(descriptor)
