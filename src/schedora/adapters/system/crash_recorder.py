"""What a worker process notes for whoever outlives it: which incarnation it is, and the last that its handlers logged.

A file without a name that its supervisor shares with it: what is written there survives any end of the process, at
the price of one system call a line. The interpreter's fault handler writes there, too: the stacks of a crash.
"""

import fcntl
import os
import tempfile
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock
from uuid import UUID

import orjson

from schedora.adapters.system import inherited
from schedora.adapters.system.watched_process import ProcessEnd
from schedora.domain.ids import IncarnationId, JobId, JsonText
from schedora.domain.worker_death import JOBS_MAX, LINE_LENGTH_MAX, LINES_MAX, STACK_LENGTH_MAX, WorkerDeath

VARIABLE = "SCHEDORA_CRASH_RECORDER"
"""Names the file's descriptor to the process that is to write there."""

LENGTH_MAX = 4_000_000
KEPT_LENGTH = 400_000
"""What is longer than the one is cut to the other: its end."""

_NOTE = b'{"schedora":'
"""How each note begins; whatever else there is was written by the fault handler."""


class CrashRecorder:
    """The writing end. Thread-safe; fails silently, for nobody must end for want of it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._guard = Lock()
        self._incarnation: IncarnationId | None = None
        with suppress(OSError):
            os.ftruncate(descriptor, 0)

    @classmethod
    def given(cls) -> "CrashRecorder | None":
        """The one that this process was started with, if any."""
        descriptor = inherited.taken(VARIABLE)
        return None if descriptor is None else cls(descriptor)

    def name(self, incarnation: IncarnationId) -> None:
        """Whose box this is from now on."""
        self._incarnation = incarnation
        self._put({"schedora": "incarnation", "is": str(incarnation)})

    def line(self, job_id: JobId, line: JsonText) -> None:
        """A line that a handler has logged."""
        self._put({"schedora": "line", "job": str(job_id), "line": line})

    def touch(self) -> None:
        """The interpreter runs."""
        with suppress(OSError):
            os.utime(self.descriptor)

    def _put(self, note: dict[str, str]) -> None:
        text = orjson.dumps(note) + b"\n"
        with self._guard, suppress(OSError):
            if os.fstat(self.descriptor).st_size > LENGTH_MAX:
                self._shorten()
            os.write(self.descriptor, text)

    def _shorten(self) -> None:
        size = os.fstat(self.descriptor).st_size
        end = os.pread(self.descriptor, KEPT_LENGTH, size - KEPT_LENGTH).partition(b"\n")[2]
        head = orjson.dumps({"schedora": "incarnation", "is": str(self._incarnation)}) + b"\n"
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, head + end)


class KeptBox:
    """The end that outlives the writer."""

    def __init__(self) -> None:
        self.descriptor, path = tempfile.mkstemp(prefix="schedora-")
        Path(path).unlink()
        # Appending, so that the notes and the fault handler's words never overwrite each other.
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, os.O_APPEND)

    def close(self) -> None:
        os.close(self.descriptor)

    @property
    def touched_ns(self) -> int:
        """When the writer did anything last: to be compared with itself."""
        return os.fstat(self.descriptor).st_mtime_ns

    def stack(self) -> str | None:
        """What the fault handler wrote, if anything."""
        texts = [text.decode("utf-8", "replace") for text in self._texts() if _note(text) is None]
        return "\n".join(texts).strip()[:STACK_LENGTH_MAX] or None

    def read(self, end: ProcessEnd) -> tuple[IncarnationId, WorkerDeath] | None:
        """Who ended so, with what it left; None when it ended before it was anybody."""
        incarnation: IncarnationId | None = None
        lines: OrderedDict[JobId, deque[str]] = OrderedDict()
        for text in self._texts():
            note = _note(text)
            if note is None:
                continue
            if note["schedora"] == "incarnation":
                incarnation = IncarnationId(UUID(note["is"]))
            else:
                job_id = JobId(UUID(note["job"]))
                lines.setdefault(job_id, deque(maxlen=LINES_MAX)).append(in_words(note["line"]))
                lines.move_to_end(job_id)
                if len(lines) > JOBS_MAX:
                    lines.popitem(last=False)
        if incarnation is None:
            return None
        kept = {job_id: tuple(told) for job_id, told in lines.items()}
        return incarnation, WorkerDeath(how=end.how, stack=self.stack(), lines=kept)

    def _texts(self) -> Iterator[bytes]:
        size = os.fstat(self.descriptor).st_size
        yield from os.pread(self.descriptor, size, 0).split(b"\n")


def in_words(line: str) -> str:
    """A line of a handler's log, which is JSON unless it was cut, for people."""
    try:
        event = orjson.loads(line)
        told = f"{event['timestamp']} {event['level']} {event['message']}"
        fields = " ".join(
            f"{name}={value}"
            for name, value in event.items()
            if name not in {"timestamp", "level", "message"}
        )
    except (ValueError, TypeError, KeyError):
        return line[:LINE_LENGTH_MAX]
    return f"{told} {fields}".rstrip()[:LINE_LENGTH_MAX]


def _note(text: bytes) -> dict[str, str] | None:
    if not text.startswith(_NOTE):
        return None
    try:
        note: dict[str, str] = orjson.loads(text)
    except ValueError:  # it died in the middle of it
        return None
    return note
