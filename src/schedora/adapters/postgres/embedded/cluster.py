"""The database cluster on disk."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from schedora.adapters.postgres.embedded.account import Account
from schedora.adapters.postgres.embedded.database import ROLE
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.locks import FileLock
from schedora.adapters.postgres.embedded.wheel import Programs

_INITDB_SECONDS_MAX = 300.0


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


def create_cluster(
    cluster: Path, programs: Programs, account: Account | None, lock: FileLock, *, durable: bool
) -> None:
    """Make a new cluster. It is made aside and moved into place whole, so a kill leaves none half-made.

    The lock passes on to initdb, which goes on when its parent is killed; the next one waits for its end.

    Raises EmbeddedUnavailable with what initdb said when it fails.
    """
    for left_over in cluster.parent.glob(f"{cluster.name}.new-*"):
        shutil.rmtree(left_over)
    new = Path(tempfile.mkdtemp(dir=cluster.parent, prefix=f"{cluster.name}.new-"))
    if account is not None:
        account.own(new)
    made = programs.run(
        "initdb",
        "--no-instructions",
        f"--username={ROLE}",
        # Who gets as far as the socket may come in; nobody over the network, even if it came to listen there.
        "--auth-local=trust",
        f"--auth-host={'trust' if sys.platform == 'win32' else 'reject'}",
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
        inherited=lock,
    )
    if made.returncode != 0:
        shutil.rmtree(new)
        said = " ".join(made.stdout.decode(errors="replace").split())
        raise EmbeddedUnavailable(f"no PostgreSQL data could be made in {cluster}: {said}")
    if cluster.is_dir():
        cluster.rmdir()
    new.rename(cluster)
    if durable and sys.platform != "win32":
        directory = os.open(cluster.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
