"""Start a program that ends with the process that started it: ``python -m schedora_torture.launcher PROGRAM ...``.

Linux kills it the moment its parent is gone, whatever that died of. Nothing stays between the two: what is started takes
the place, and the pid, of this module.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
COMMAND = (sys.executable, "-m", "schedora_torture.launcher")
ORPHANED = 70
"""The exit status where the parent is gone already."""


def main() -> None:
    parent, *program = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(parent):
        sys.exit(ORPHANED)
    os.execvp(program[0], program)  # noqa: S606 - what it is told to


def launched(program: list[str]) -> list[str]:
    """The command that starts ``program`` so. To be called in the process that it is to end with."""
    return [*COMMAND, str(os.getpid()), *program]


if __name__ == "__main__":
    main()
