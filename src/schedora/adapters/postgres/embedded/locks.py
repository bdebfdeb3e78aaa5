"""Locks on files that the kernel lets go when their holder dies, however it dies."""

import errno
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    # flock, not lockf: its lock belongs to the open file, so that a child can inherit it and two holders
    # in one process exclude each other.
    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


class FileLock:
    """An exclusive lock on a file, held from `take` until `release` or the death of the holder."""

    __slots__ = ("fd", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self.fd = fd

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Lock the file, made if missing; None when somebody else holds it. Never waits.

        Raises OSError when the file cannot be opened.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            _lock(fd)
        except OSError as error:
            os.close(fd)
            if isinstance(error, (BlockingIOError, PermissionError)):  # POSIX, Windows
                return None
            raise
        return cls(path, fd)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a file that nobody else has, and lock it. Raises OSError."""
        lock = cls.take(path)
        if lock is None:
            raise FileExistsError(errno.EEXIST, "locked by somebody else", str(path))
        return lock

    def release(self) -> None:
        """Unlock, even if a child that was forked meanwhile has a copy. Not to be called in such a child."""
        _unlock(self.fd)
        os.close(self.fd)

    def hand_over(self) -> None:
        """Let go of this process's copy; a child that inherited the descriptor holds the lock from now on."""
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_locked(path: Path) -> bool:
    """Whether anybody holds a lock on the file. Takes it for an instant itself, so callers must not race."""
    lock = FileLock.take(path)
    if lock is None:
        return True
    lock.release()
    return False
