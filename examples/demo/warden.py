"""The warden: ends the demo's processes should the demo itself be killed, and be in no state to do so.

A process of its own. It reads from standard input the ids of processes, each the leader of a group, and holds
on to them until the input ends, as it does when the demo is gone, whatever ended it. Then those that still
live are asked to end, and killed if they do not.
"""

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress

import psutil

PATIENCE_SECONDS = 10.0


def main() -> None:
    """Watch over the processes named on standard input."""
    end(list(_processes(sys.stdin)))


def end(processes: list[psutil.Process]) -> None:
    """Ask each to end, wait, and kill the groups of those that do not."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(processes, timeout=PATIENCE_SECONDS)
    for process in alive:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _processes(lines: Iterable[str]) -> Iterable[psutil.Process]:
    for line in lines:
        with suppress(psutil.NoSuchProcess):  # ended before it was looked at
            yield psutil.Process(int(line))


if __name__ == "__main__":
    main()
