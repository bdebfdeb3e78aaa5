"""Who this process is, for people and for the register of processes."""

import os
import socket
from uuid import uuid4

import schedora
from schedora.domain.ids import ProcessId
from schedora.domain.process import ProcessIdentity, ProcessKind


def default_name() -> str:
    """Host and pid."""
    return f"{socket.gethostname()}-{os.getpid()}"[:255]


def this_process(kind: ProcessKind, name: str | None) -> ProcessIdentity:
    return ProcessIdentity(
        process_id=ProcessId(uuid4()),
        kind=kind,
        name=name or default_name(),
        hostname=socket.gethostname()[:255],
        pid=os.getpid(),
        version=schedora.__version__,
    )
