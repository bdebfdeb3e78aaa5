"""What a server notes about itself in the cluster, and what is still true of it."""

import contextlib
from pathlib import Path

import psutil
from attrs import frozen

from schedora.adapters.postgres.embedded.account import Account, replace_file

NAME = "postmaster.pid"

# No process ever has this pid: it is above every system's limit.
_PID_OF_NOBODY = 2**31 - 1


@frozen(kw_only=True)
class ServerNote:
    """What a running server noted in its pid file. A dead server's note stays behind."""

    pid: int
    host: str  # its socket directory, or its address where there are no sockets
    port: int
    ready: bool


def read_note(cluster: Path) -> ServerNote | None:
    """Return what the server noted, None when there is no note or it is still being written."""
    try:
        lines = (cluster / NAME).read_text(encoding="utf-8", errors="replace").splitlines()
        pid, port, socket_directory, host = int(lines[0]), int(lines[3]), lines[4].strip(), lines[5].strip()
    except (FileNotFoundError, IndexError, ValueError):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return ServerNote(pid=pid, host=socket_directory or host, port=port, ready=ready)


def find_postmaster(cluster: Path) -> psutil.Process | None:
    """Return the process that serves the cluster, as far as its pid file and the process itself agree."""
    try:
        process = psutil.Process(int((cluster / NAME).read_text(encoding="utf-8").split()[0]))
        if process.name().startswith("postgres") and _serves(process, cluster):
            return process
    except (OSError, IndexError, ValueError, psutil.Error):
        pass  # no such file, no such process, or one that may not be looked at and so is not ours
    return None


def _serves(process: psutil.Process, cluster: Path) -> bool:
    # Its command line everybody may see; where it works not even root in a container may. But one started by
    # hand perhaps has a relative path in its command line.
    return str(cluster) in process.cmdline() or Path(process.cwd()).samefile(cluster)


def clear_pid_files(cluster: Path, socket_directory: Path, account: Account | None) -> None:
    """Make what a dead server left behind harmless. Call it only when no process of that server lives.

    PostgreSQL refuses to start when the pid in such a file is in use again. The pid is overwritten and the
    file kept, as it also names the shared memory that PostgreSQL checks for users before it starts.
    """
    for file in (cluster / NAME, *socket_directory.glob(".s.PGSQL.*.lock")):
        with contextlib.suppress(FileNotFoundError):
            first, _, rest = file.read_text(encoding="utf-8").partition("\n")
            if not first.strip().lstrip("-").isdigit():
                file.unlink()  # cut short by a power loss; PostgreSQL would refuse it
            elif psutil.pid_exists(abs(int(first))):
                replace_file(file, f"{_PID_OF_NOBODY}\n{rest}", account)
