"""The database cluster on disk: made, owned, and cleared of what a killed server left behind."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import psutil
from attrs import frozen

from schedora.adapters.postgres.embedded.account import Account, replace_file
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.settings import include_settings
from schedora.adapters.postgres.embedded.wheel import Programs

ROLE = "schedora"

_INITDB_SECONDS_MAX = 300.0
# No process ever has this pid: it is above every system's limit.
_PID_OF_NOBODY = 2**31 - 1


@frozen(kw_only=True)
class ServerNote:
    """What a running server noted in its pid file. A dead server's note stays behind."""

    pid: int
    host: str  # its socket directory, or its address where there are no sockets
    port: int
    ready: bool


def major_version(cluster: Path) -> int | None:
    """Return the major version of PostgreSQL that made the cluster; None when there is no cluster yet.

    Raises EmbeddedUnavailable when something else is in its place.
    """
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        if cluster.is_dir() and any(cluster.iterdir()):
            raise EmbeddedUnavailable(f"{cluster} is not empty, and not data of PostgreSQL") from None
        return None
    except ValueError as error:
        raise EmbeddedUnavailable(f"{cluster / 'PG_VERSION'} names no version: {error}") from error


def create(cluster: Path, programs: Programs, account: Account | None, *, durable: bool) -> None:
    """Make a new cluster. It is made aside and moved into place whole, so a kill leaves none half-made.

    Raises EmbeddedUnavailable with what initdb said when it fails.
    """
    _end_server_of_deleted(cluster)
    for left_over in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(left_over, ignore_errors=True)  # perhaps an initdb whose parent was killed still writes
    new = Path(tempfile.mkdtemp(dir=cluster.parent, prefix=f"{cluster.name}.new-"))
    if account is not None:
        account.own(new)
    made = programs.run(
        "initdb",
        "--no-instructions",
        f"--username={ROLE}",
        # Only who can open the socket gets this far.
        "--auth=trust",
        "--data-checksums",
        # Built into PostgreSQL: an upgrade of the operating system cannot change how indexes are sorted.
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
        cluster=new,
        account=account,
        seconds_max=_INITDB_SECONDS_MAX,
    )
    if made.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        said = " ".join(made.stdout.decode(errors="replace").split())
        raise EmbeddedUnavailable(f"no PostgreSQL data could be made in {cluster}: {said}")
    include_settings(new)
    if cluster.is_dir():
        cluster.rmdir()
    new.rename(cluster)
    if durable and sys.platform != "win32":
        directory = os.open(cluster.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def read_note(cluster: Path) -> ServerNote | None:
    """Return what the server noted, None when there is no note or it is still being written."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        pid, port, socket_directory, host = int(lines[0]), int(lines[3]), lines[4].strip(), lines[5].strip()
    except (FileNotFoundError, IndexError, ValueError):
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return ServerNote(pid=pid, host=socket_directory or host, port=port, ready=ready)


def find_postmaster(cluster: Path) -> psutil.Process | None:
    """Return the process that serves the cluster, as far as its pid file and the process itself agree."""
    try:
        process = psutil.Process(int((cluster / "postmaster.pid").read_text(encoding="utf-8").split()[0]))
        if process.name().startswith("postgres") and Path(process.cwd()).samefile(cluster):
            return process
    except (OSError, IndexError, ValueError, psutil.Error):
        pass  # no such file, no such process, or one that may not be looked at and so is not ours
    return None


def clear_pid_files(cluster: Path, socket_directory: Path, account: Account | None) -> None:
    """Make what a dead server left behind harmless. Call it only when no process of that server lives.

    PostgreSQL refuses to start when the pid in such a file is in use again. The pid is overwritten and the
    file kept, as it also names the shared memory that PostgreSQL checks for users before it starts.
    """
    for file in (cluster / "postmaster.pid", *socket_directory.glob(".s.PGSQL.*.lock")):
        with contextlib.suppress(FileNotFoundError):
            first, _, rest = file.read_text(encoding="utf-8").partition("\n")
            if not first.strip().lstrip("-").isdigit():
                file.unlink()  # cut short by a power loss; PostgreSQL would refuse it
            elif psutil.pid_exists(abs(int(first))):
                replace_file(file, f"{_PID_OF_NOBODY}\n{rest}", account)


def _end_server_of_deleted(cluster: Path) -> None:
    """End a server whose data was deleted under it: once it noticed, it would delete the new one's socket."""
    gone = {str(cluster), f"{cluster} (deleted)"}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.name().startswith("postgres") and process.cwd() in gone:
                process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGQUIT)
                process.wait(10)
