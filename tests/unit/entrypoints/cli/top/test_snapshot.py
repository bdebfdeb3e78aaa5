"""One look as text and as a document."""

import math

from schedora.entrypoints.cli.top import snapshot
from schedora.entrypoints.cli.top.board import Board
from schedora.entrypoints.cli.top.exposition import TypeTotals
from tests.unit.entrypoints.cli.top.seen import failure, look, queue, worker


def test_text() -> None:
    board = Board(2.0)
    board.take(look(0))
    last = look(
        2,
        {"mail": TypeTotals(created=20, succeeded=18, failed=2, took={1.0: 20, math.inf: 20})},
        queues={"default": queue(waiting=1_234, running=5, dead=6, oldest_ready_seconds=61)},
        workers=[worker(running_jobs=8)],
        slots_used={"w1": 5},
        unhandled_types=("fax",),
    )
    board.take(last)
    board.take_failures([failure(1, message="no such\nmailbox")])
    told = snapshot.text(board, last, "http://here")
    time = board.failures()[0].at.astimezone().strftime("%H:%M:%S")
    assert told.splitlines() == [
        "http://here  healthy (database up, redis up)",
        "submitted 10/s  done 9.0/s  failed 1.0/s  waiting 1,234  running 5",
        "! no live worker handles: fax",
        "",
        "queues",
        "QUEUE    WAITING  RUNNING  RETRYING   DEAD  OLDEST READY",
        "default    1,234        5         0      6         1m01s",
        "",
        "workers",
        "WORKER  STATUS      SLOTS  HELD   CPU   MEM  HEARTBEAT  QUEUES",
        "w1      ACTIVE       5/10     8     -     -       2.0s  all",
        "",
        "job types, since counting began",
        "TYPE  DONE/S  FAILED/S  FAILED  SHARE    ~P50    ~P95",
        "mail     9.0       1.0       2    10%   500ms   950ms",
        "",
        "newest failures",
        "TIME      TYPE  QUEUE    TO        KIND     MESSAGE",
        f"{time}  mail  default  RETRYING  OSError  no such mailbox",
    ]


def test_what_there_is_not() -> None:
    board = Board(2.0)
    last = look(0)
    board.take(last)
    told = snapshot.text(board, last, "http://here")
    assert "queues: none" in told
    assert "submitted -/s" in told


def test_lengths_beyond_the_last_bucket_are_not_known_to_programs() -> None:
    board = Board(2.0)
    last = look(2, {"mail": TypeTotals(succeeded=3, took={1.0: 0, math.inf: 3})})
    board.take(look(0))
    board.take(last)
    assert "∞" in snapshot.text(board, last, "")
    [row] = snapshot.document(board, last, "")["types"]
    assert (row.p50_seconds, row.p95_seconds) == (None, None)
