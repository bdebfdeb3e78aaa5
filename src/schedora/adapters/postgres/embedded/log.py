"""The server's log: kept from growing for ever, and read when the server does not start."""

import re
import time
from datetime import timedelta
from pathlib import Path

LOG_DIRECTORY = "log"

_AGE_MAX = timedelta(days=7)
_FILE_BYTES_MAX = 32 * 1024**2
_TAIL_BYTES = 64 * 1024
_START = "starting PostgreSQL"
_OPENED_LOG = "redirecting log output"
_MESSAGE = re.compile(r"\b(LOG|WARNING|ERROR|FATAL|PANIC|DETAIL|HINT):  (.+)")


def tidy_log(cluster: Path) -> None:
    """Delete log files that rotation did not get to: it happens only in a server that runs at midnight."""
    directory = cluster / LOG_DIRECTORY
    if directory.is_symlink():
        return  # wherever that leads, perhaps outside of what is ours
    for file in directory.glob("*.log"):
        status = file.stat(follow_symlinks=False)
        if time.time() - status.st_mtime > _AGE_MAX.total_seconds() or status.st_size > _FILE_BYTES_MAX:
            file.unlink()


def last_words(cluster: Path, start_log: Path) -> str:
    """Return what the server said last since its start, in one line: why it failed, or else what it does."""
    said = _tail(start_log)
    if _OPENED_LOG not in said:  # it did not get that far, and all that it said matters
        everything = [f"{severity}: {text}" for severity, text in _MESSAGE.findall(said)]
        return " ".join(everything[-3:]) or " ".join(said.split())[-300:] or "it said nothing"
    files = sorted((cluster / LOG_DIRECTORY).glob("*.log"), key=lambda file: file.stat().st_mtime)
    messages = _MESSAGE.findall("".join(map(_tail, files[-1:])).rpartition(_START)[2])
    bad = [f"{severity}: {text}" for severity, text in messages if severity not in ("LOG", "WARNING")]
    return " ".join(bad[-3:]) or (messages[-1][1] if messages else "it has just begun")


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            return opened.read().decode(errors="replace")
    except FileNotFoundError:
        return ""  # a server started by hand writes elsewhere
