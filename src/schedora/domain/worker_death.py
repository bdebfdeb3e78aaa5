"""How the process of a worker ended, as far as anybody saw it."""

from collections.abc import Mapping, Sequence

from attrs import field
from attrs import frozen as frozen_by_name

from schedora.domain.ids import JobId

STACK_LENGTH_MAX = 16_000
LINES_MAX = 20
"""The last lines of one job's log that are kept."""
LINE_LENGTH_MAX = 1_000
JOBS_MAX = 200
"""So many jobs' lines: those that were told last."""


@frozen_by_name(kw_only=True)
class WorkerDeath:
    """Seen by whoever outlived it, or by itself in its last moment."""

    how: str
    """What follows the worker's name: ``was ended by SIGSEGV (peak memory 1.9 GB)``."""
    stack: str | None = None
    """What its threads did, the innermost call of each first or last as whoever wrote it has it."""
    lines: Mapping[JobId, Sequence[str]] = field(factory=dict)
    """The last lines that its handlers logged, in words."""

    def evidence(self, job_id: JobId) -> str | None:
        """What is kept with a job that ran there."""
        parts = []
        if self.stack:
            parts.append(self.stack.rstrip())
        if lines := self.lines.get(job_id):
            parts.append("\n".join(["The last lines of its log:", *lines]))
        return "\n\n".join(parts) or None


def in_bytes(count: int) -> str:
    """``count`` bytes for people: ``1.9 GB``."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def ended_how(returncode: int, signal_name: str | None) -> str:
    """What a wait status says, in words. A negative ``returncode`` is the signal that ended the process."""
    if returncode < 0:
        return f"was ended by {signal_name or f'signal {-returncode}'}"
    return f"exited with status {returncode}"


def peak_memory(peak_bytes: int | None) -> str:
    """To go behind how a process ended; nothing, where nobody knows."""
    return "" if peak_bytes is None else f" (peak memory {in_bytes(peak_bytes)})"
