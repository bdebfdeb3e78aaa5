"""Where the server listens."""

import hashlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from schedora.adapters.postgres.embedded.account import Account
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable

# The shortest limit of the systems we run on (macOS), less the NUL that ends it.
_SOCKET_PATH_BYTES_MAX = 103
_LONGEST_NAME = ".s.PGSQL.65535"
# What needs no quoting in a setting, a pid file or a URL.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")


def socket_directory(cluster: Path, account: Account | None) -> Path:
    """Return the directory of the server's socket, which only the server's account (and root) can enter.

    The cluster's own where its path is short and plain, else one for temporary files whose name follows
    from that path. Raises EmbeddedUnavailable when there is none, or somebody else made it.
    """
    if _is_fit(cluster):
        return cluster
    name = _name(cluster)
    runtime = os.environ.get("XDG_RUNTIME_DIR", "") if account is None else ""
    for parent in (runtime, tempfile.gettempdir(), "/tmp"):  # noqa: S108 - the directory made there is checked
        directory = Path(parent) / name
        if Path(parent).is_absolute() and Path(parent).is_dir() and _is_fit(directory):
            _make_private(directory, account)
            return directory
    raise EmbeddedUnavailable(
        f"no directory for the server's socket: {cluster} and {tempfile.gettempdir()} have too long names"
    )


def discard_socket_directory(directory: Path, cluster: Path) -> None:
    """Delete the directory of a stopped server's socket, if it is one made for that cluster."""
    if directory.name == _name(cluster):
        directory.rmdir()


def _name(cluster: Path) -> str:
    return f"schedora-{hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]}"


def _is_fit(directory: Path) -> bool:
    path = str(directory / _LONGEST_NAME)
    return _PLAIN_PATH.fullmatch(path) is not None and len(path) <= _SOCKET_PATH_BYTES_MAX


def _make_private(directory: Path, account: Account | None) -> None:
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass  # from an earlier start, which is checked below
    else:
        if account is not None:
            account.own(directory)
    status = directory.lstat()
    owner = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise EmbeddedUnavailable(
            f"{directory}, where the server's socket would be, belongs to somebody else or is open to others: "
            "delete it"
        )
    if account is not None:
        account.make_reachable(directory)


def listen_settings(cluster: Path, account: Account | None) -> Mapping[str, str]:
    """Return the settings that make the server listen where only this machine's user can reach it."""
    if sys.platform == "win32":
        return {"listen_addresses": "127.0.0.1"}  # there are no unix sockets in its Python
    return {
        "listen_addresses": "",
        "unix_socket_directories": str(socket_directory(cluster, account)),
    }
