"""How busy this process is."""

import sys
from contextlib import suppress
from pathlib import Path

import psutil

from schedora.application.pipeline.heartbeat import Vitals

_HAS_PROC = Path("/proc/self/status").exists()


class ProcessVitals:
    """``cpu_percent`` is that of one core since the last reading, ``memory_percent`` the resident share."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first reading has no span to speak of

    def __call__(self) -> Vitals:
        return Vitals(
            cpu_percent=round(self._process.cpu_percent(), 1),
            memory_percent=round(self._process.memory_percent(), 2),
        )


def peak_bytes() -> int | None:
    """The most memory that this process had resident; None where the system does not tell."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_bytes_of(pid: int) -> int | None:
    """The most memory that another process had resident so far, or has now where the system tells only that; None when
    it has gone.
    """
    if not _HAS_PROC:
        with suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return None
    with suppress(OSError):  # not what getrusage says: that begins with what its parent had
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        told = [line for line in lines if line.startswith("VmHWM:")]
        return int(told[0].split()[1]) * 1024 if told else None
    return None
