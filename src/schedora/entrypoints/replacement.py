"""A process that starts its program anew, in place of what it runs: same pid, same parent, same output."""

import logging
import os
import sys
from contextlib import suppress
from typing import NoReturn

from schedora.adapters.system import inherited
from schedora.application.log import Logger

log = Logger("schedora.process")

_REPLACES = "SCHEDORA_REPLACES"

_kept: dict[str, str] = {}


class ReplaceProcess(Exception):
    """Raised by a service that has ended so that a fresh process takes over."""


def keep(variable: str, value: str) -> None:
    """For the program that takes the place of this one, and for nothing else that this one starts."""
    _kept[variable] = value


def kept(variable: str) -> str | None:
    """What the program that this one takes the place of has kept for it."""
    return os.environ.pop(variable, None)


def replace_process() -> NoReturn:
    """Ends every thread of this process, whatever it does. May be called from any of them."""
    log.info("starting the program anew", pid=os.getpid())
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    inherited.hand_on()
    os.environ.update(_kept, **{_REPLACES: "1"})
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program, as it was called


def reap_left_behind() -> None:
    """The children of what this program takes the place of: they ended with it, and nobody has asked how."""
    if os.environ.pop(_REPLACES, None) is None:
        return
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
