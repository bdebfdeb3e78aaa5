"""The account that the server runs as, and what that account must be able to reach.

PostgreSQL refuses to run as root. Started by root, it runs as the owner of its data: a system account made
for it on first use. Everybody else runs it as themselves, and none of this applies.
"""

import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

from schedora.adapters.postgres.embedded.errors import EmbeddedUnavailable

ACCOUNT_NAME = "schedora-postgres"
_ACCOUNT_COMMANDS = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false"),
    ("adduser", "-S", "-D", "-H", "-s", "/bin/false"),  # BusyBox
)

_logger = logging.getLogger(__name__)


@frozen(kw_only=True)
class Account:
    """A system account other than the one this process runs as."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Make the account the owner of a file, or of a directory with all that is in it."""
        for entry in (path, *path.rglob("*")):
            os.chown(entry, self.uid, self.gid, follow_symlinks=False)

    def make_reachable(self, path: Path) -> None:
        """Let the account pass through every directory above `path`.

        Adds the one bit that allows passing through, never one that allows reading or writing.

        Raises EmbeddedUnavailable when that is not possible.
        """
        for directory in reversed(path.parents):
            if self._grant(directory, 0o1):
                _logger.info("the embedded PostgreSQL may now pass through %s", directory)

    def make_readable(self, tree: Path) -> None:
        """Let the account read and run what is in `tree`, which must hold nothing private."""
        self.make_reachable(tree)
        for entry in (tree, *tree.rglob("*")):
            if not entry.is_symlink():
                self._grant(entry, 0o5 if entry.is_dir() or entry.stat().st_mode & stat.S_IXUSR else 0o4)

    def _grant(self, path: Path, wanted: int) -> bool:
        status = path.stat()
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        missing = (wanted << shift) & ~status.st_mode
        if not missing:
            return False
        try:
            path.chmod(stat.S_IMODE(status.st_mode) | missing)
        except OSError as error:
            raise EmbeddedUnavailable(
                f"PostgreSQL cannot run as root, and the account it runs as (uid {self.uid}) cannot get to "
                f"{path}, whose permissions cannot be changed: {error.strerror}"
            ) from error
        return True


def replace_file(path: Path, content: str, account: Account | None) -> None:
    """Put a file in place, private to the account.

    A new file, never an old one overwritten: the account owns the directory, so an old one may be a link that
    leads to what only root may write.
    """
    fd, new = tempfile.mkstemp(dir=path.parent)
    with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(content)
    if account is not None:
        account.own(Path(new))
    Path(new).replace(path)


def server_account(cluster: Path) -> Account | None:
    """Return the account to run the server on that data as; None means the one of this process.

    Raises EmbeddedUnavailable when this is root and no system account can be made.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    if (cluster / "PG_VERSION").exists() and (status := cluster.stat()).st_uid != 0:
        # The owner, even if unknown here: data on a volume was perhaps created in another container.
        return Account(uid=status.st_uid, gid=status.st_gid)
    return _system_account()


def _system_account() -> Account:
    account = _find_account()
    for command in _ACCOUNT_COMMANDS:
        if account is None and shutil.which(command[0]):
            # Its failure is no matter if the account is there afterwards: another process may have made it.
            subprocess.run([*command, ACCOUNT_NAME], check=False, capture_output=True)  # noqa: S603 - fixed words
            account = _find_account()
    if account is None:
        raise EmbeddedUnavailable(
            f"PostgreSQL cannot run as root, and the system account {ACCOUNT_NAME} for it could not be made: "
            "create it, run Schedora as another user, or set DATABASE_URL"
        )
    return account


def _find_account() -> Account | None:
    import pwd  # noqa: PLC0415 - does not exist on Windows

    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)
