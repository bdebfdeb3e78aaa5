"""Where the server listens."""

import hashlib
import os
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from schedora.adapters.postgres.embedded.account import Account
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable

PORT = 5432  # part of the socket's name

# The shortest limit of the systems we run on (macOS), less the NUL that ends it.
_SOCKET_PATH_BYTES_MAX = 103
# What needs no quoting in a setting, a pid file or a URL.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._+-]+")


def socket_directory(cluster: Path, account: Account | None) -> Path:
    """Return the directory of the server's socket, which only the server's account (and root) can enter.

    The cluster's own where its path is short and plain, else one under the temporary directory that
    follows from that path. Raises EmbeddedUnavailable when somebody else made that one.
    """
    if _PLAIN_PATH.fullmatch(str(cluster)) and len(f"{cluster}/.s.PGSQL.{PORT}") <= _SOCKET_PATH_BYTES_MAX:
        return cluster
    digest = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    parent = os.environ.get("XDG_RUNTIME_DIR") if account is None else None
    directory = Path(parent or tempfile.gettempdir()) / f"schedora-{digest}"
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        if account is not None:
            account.own(directory)
    status = directory.lstat()
    owner = os.geteuid() if account is None else account.uid
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise EmbeddedUnavailable(
            f"{directory}, where the server's socket would be, belongs to somebody else or is open to others"
        )
    if account is not None:
        account.make_reachable(directory)
    return directory


def listen_settings(cluster: Path, account: Account | None) -> Mapping[str, str]:
    """Return the settings that make the server listen where only this machine's user can reach it."""
    if sys.platform == "win32":
        # No unix sockets in asyncpg there.
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        return {"listen_addresses": "127.0.0.1", "port": str(port)}
    return {
        "listen_addresses": "",
        "port": str(PORT),
        "unix_socket_directories": str(socket_directory(cluster, account)),
    }
