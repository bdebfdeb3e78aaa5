"""The settings of the embedded server: `schedora.conf`, written anew at every start."""

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from schedora.adapters.postgres.embedded.account import Account, replace_file
from schedora.adapters.postgres.embedded.log import LOG_DIRECTORY

FILE_NAME = "schedora.conf"
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")

_HEADER = """\
# Written by Schedora at every start of this server. Put your own settings into postgresql.conf, below the
# line that includes this file: what stands there wins.
"""

_GIB = 1024**3
_PORT_MIN, _PORT_MAX = 10_000, 32_000  # below what systems give out by themselves


def write_settings(
    cluster: Path, account: Account | None, listen: Mapping[str, str], extra: Mapping[str, str]
) -> None:
    """Write the settings file into the cluster; `extra` wins over everything else in it."""
    lines = [_HEADER]
    for name, value, reason in _settings(listen):
        if name not in extra:
            lines.append(f"# {reason}\n{_line(name, value)}")
    if extra:
        lines.append("# Asked for by the caller.\n" + "".join(_line(*item) for item in extra.items()))
    replace_file(cluster / FILE_NAME, "\n".join(lines), account)


def include_settings(cluster: Path) -> None:
    """Make the cluster read the settings file, if it does not, and give it a port of its own.

    Without TCP the port is only the name of the socket. With one that differs from cluster to cluster, a server
    whose data was deleted under it does not, when it notices, delete the socket of the one that was started
    in its place.
    """
    # Through no link: see replace_file.
    fd = os.open(cluster / "postgresql.conf", os.O_RDWR | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    with open(fd, "r+b") as file:  # noqa: PTH123 - a descriptor
        if FILE_NAME.encode() not in file.read():
            port = _PORT_MIN + secrets.randbelow(_PORT_MAX - _PORT_MIN + 1)
            file.write(f"\nport = {port}\ninclude_if_exists = '{FILE_NAME}'\n".encode())
            file.flush()
            os.fsync(file.fileno())


def _line(name: str, value: str) -> str:
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'\n"


def _settings(listen: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, value in listen.items():
        yield name, value, "Where the server listens: this machine only."
    yield from (
        ("cluster_name", "schedora", "Tells this server's processes from those of others in a list of them."),
        ("unix_socket_permissions", "0700", "Whoever can open the socket is let in, so only the owner can."),
        ("max_connections", "200", "Several processes with a pool each; an idle connection costs little."),
        (
            "shared_buffers",
            "256MB" if _memory_bytes() >= 4 * _GIB else "128MB",
            "Room for the hot tables and indexes. The machine is not ours alone.",
        ),
        ("autovacuum_naptime", "5s", "At thousands of jobs a second, the small tables can't wait a minute."),
        ("jit", "off", "Compiling a statement takes longer than any of ours runs."),
        ("random_page_cost", "1.1", "Solid-state disks, or data that is in memory: a seek costs nothing."),
        ("max_wal_size", "2GB", "A burst of jobs should not force a checkpoint."),
        ("checkpoint_timeout", "15min", "Fewer full images of pages; recovery still takes seconds."),
        ("wal_compression", "off", "It would take a tenth of the server's time after every checkpoint."),
        ("fsync", "on", "What was accepted survives a power loss..."),
        ("synchronous_commit", "on", "...from the moment it was accepted."),
        ("timezone", "UTC", "One time zone everywhere, whatever the machine's is."),
        ("log_timezone", "UTC", "As timezone."),
        ("logging_collector", "on", "Logs go to a file, as nobody sees the server's standard error."),
        ("log_directory", LOG_DIRECTORY, "Inside the data directory."),
        ("log_filename", "postgresql-%a.log", "One file for each day of the week..."),
        ("log_rotation_age", "1d", "...a new one at midnight..."),
        ("log_rotation_size", "0", "...and only then, as only then..."),
        ("log_truncate_on_rotation", "on", "...last week's is overwritten: never more than seven files."),
        ("log_checkpoints", "off", "Of no interest to a user of Schedora."),
        ("log_lock_waits", "on", "A wait of over a second for a lock is worth knowing."),
        ("log_min_duration_statement", "5s", "So is a slow statement..."),
        ("log_parameter_max_length", "0", "...but not the payloads in it..."),
        ("log_parameter_max_length_on_error", "0", "...nor in one that failed..."),
        ("log_min_error_statement", "panic", "...whose text may hold them too; who sent it knows it."),
    )


def _memory_bytes() -> int:
    """What this process may use: the machine's memory, or its container's limit."""
    machine: int = psutil.virtual_memory().total
    try:
        return min(machine, int(MEMORY_LIMIT.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no such limit here
        return machine
