"""What follows from what was read."""

import math
from collections.abc import Mapping

import pytest

from schedora.domain.job_state import JobState
from schedora.domain.worker import WorkerState
from schedora.entrypoints.cli.top.board import (
    FAILURES_MAX,
    MESSAGES_MAX,
    POINTS_MAX,
    RATE_SECONDS,
    WINDOW_SECONDS,
    Board,
    Order,
    Rates,
    percentile,
)
from schedora.entrypoints.cli.top.exposition import TypeTotals
from tests.unit.entrypoints.cli.top.seen import failure, health, look, queue, worker


def mail(done: float, failed: float = 0, created: float | None = None) -> dict[str, TypeTotals]:
    return {"mail": TypeTotals(created=done if created is None else created, succeeded=done, failed=failed)}


@pytest.fixture
def board() -> Board:
    return Board(2.0)


def watched(board: Board, per_second: float, seconds: int, begin: int = 0) -> None:
    """Two seconds between looks."""
    for at in range(begin, begin + seconds + 1, 2):
        board.take(look(at, mail(done=at * per_second)))


def test_nothing_is_known_before_the_second_look(board: Board) -> None:
    assert (board.rates(), board.types(), board.queues(), board.workers()) == (Rates(), [], [], [])
    assert board.notes() == []
    board.take(look(0, mail(100)))
    assert board.rates() == Rates()
    assert board.types() == []


def test_rates_are_differences(board: Board) -> None:
    board.take(look(0, mail(done=100, failed=10, created=200)))
    board.take(look(2, mail(done=120, failed=11, created=260)))
    assert board.rates() == Rates(submitted=30, done=10, failed=0.5)


def test_rates_are_those_of_the_last_seconds(board: Board) -> None:
    watched(board, 100, 60)
    for at in range(62, 62 + int(RATE_SECONDS) + 2, 2):
        board.take(look(at, mail(done=6_000)))
    assert board.rates().done == 0


def test_types_appear_that_were_not_there_before(board: Board) -> None:
    board.take(look(0, mail(100)))
    board.take(look(2, {**mail(100), "new": TypeTotals(created=4, succeeded=4)}))
    [row] = board.types()
    assert (row.type, row.done_per_second) == ("new", 2)
    assert board.rates().done == 2


def test_another_database_begins_anew(board: Board) -> None:
    watched(board, 100, 10)
    board.take(look(12, mail(5)))
    assert board.rates() == Rates()
    board.take(look(14, mail(25)))
    assert board.rates().done == 10


def test_a_curve_has_a_point_for_each_look(board: Board) -> None:
    for at, done in ((0, 0), (2, 20), (4, 60)):
        board.take(look(at, mail(done)))
    assert board.curves(100)[1] == [10, 20]
    assert board.curves(1)[1] == [20]


def test_a_curve_is_blank_while_the_server_is_away(board: Board) -> None:
    for at, done in ((0, 0), (2, 20), (8, 80)):
        board.take(look(at, mail(done)))
    assert board.curves(100)[1] == [10, None, None, 10]


def test_a_curve_has_an_end(board: Board) -> None:
    watched(board, 1, 10)
    board.take(look(1e6, mail(1e6)))
    assert len(board.curves(10_000)[0]) == POINTS_MAX


def test_being_away_lasts_until_an_answer(board: Board) -> None:
    board.lose("connection refused", 3)
    board.lose("still", 5)
    assert (board.away_since, board.trouble) == (3, "still")
    assert board.notes() == ["still"]
    board.take(look(7))
    assert (board.away_since, board.trouble) == (None, None)


def test_queues(board: Board) -> None:
    board.take(
        look(
            0,
            queues={
                "mail": queue(waiting=7, retrying=2, running=3, dead=4, oldest_ready_seconds=1.5),
                "Apples": queue(paused=True),
            },
        )
    )
    first, second = board.queues()
    assert (first.name, first.paused) == ("Apples", True)
    assert (second.waiting, second.retrying, second.running, second.dead) == (5, 2, 3, 4)
    assert second.oldest_ready_seconds == 1.5
    assert [row.name for row in board.queues("APP")] == ["Apples"]


def test_workers_that_live_come_first(board: Board) -> None:
    board.take(
        look(
            10,
            workers=[
                worker("c", status=WorkerState.STOPPED),
                worker("b", status=WorkerState.STALE),
                worker("a", running_jobs=13, queues=("mail",)),
            ],
            slots_used={"a": 3, "b": 4},
        )
    )
    assert [row.worker_id for row in board.workers()] == ["a", "b", "c"]
    first = board.workers()[0]
    assert (first.slots_used, first.slots, first.held, first.heartbeat_seconds_ago) == (3, 10, 13, 10)
    assert [row.slots_used for row in board.workers()[1:]] == [None, None]
    assert [row.worker_id for row in board.workers("mail")] == ["a"]


def test_a_heartbeat_is_never_in_the_future(board: Board) -> None:
    board.take(look(-5, workers=[worker()]))
    assert board.workers()[0].heartbeat_seconds_ago == 0


THREE: tuple[Mapping[str, TypeTotals], Mapping[str, TypeTotals]] = (
    {},
    {
        "slow": TypeTotals(succeeded=2, took={1: 0, 60: 2, math.inf: 2}),
        "busy": TypeTotals(succeeded=200, took={1: 200, 60: 200, math.inf: 200}),
        "bad": TypeTotals(succeeded=1, failed=3, took={1: 4, 60: 4, math.inf: 4}),
        "idle": TypeTotals(),
    },
)


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (Order.FAILING, ["bad", "slow", "busy"]),
        (Order.SLOWEST, ["slow", "bad", "busy"]),
        (Order.BUSIEST, ["busy", "slow", "bad"]),
    ],
)
def test_types_in_order(board: Board, order: Order, names: list[str]) -> None:
    for at, totals in enumerate(THREE):
        board.take(look(at, totals))
    assert [row.type for row in board.types(order=order)] == names
    assert [row.type for row in board.types("B", order=order)] == [name for name in names if name != "slow"]


def test_orders_go_round() -> None:
    assert Order.FAILING.next.next.next is Order.FAILING


def test_a_type_says_how_often_it_failed(board: Board) -> None:
    for at, totals in enumerate(THREE):
        board.take(look(at, totals))
    bad = board.types("bad")[0]
    assert (bad.failed, bad.failed_share, bad.failed_per_second) == (3, 0.75, 3)


def test_shares_are_those_of_the_window(board: Board) -> None:
    board.take(look(0, mail(0)))
    board.take(look(2, mail(done=0, failed=100)))
    for at in range(4, int(WINDOW_SECONDS) + 20, 2):
        board.take(look(at, mail(done=at, failed=100)))
    assert board.types()[0].failed == 0
    assert board.types(ever=True)[0].failed == 100


def test_a_type_that_nothing_is_heard_of_goes(board: Board) -> None:
    for at in range(0, int(WINDOW_SECONDS) + 20, 2):
        board.take(look(at, mail(10)))
    assert board.types() == []
    assert [row.type for row in board.types(ever=True)] == ["mail"]


def test_what_is_kept_is_bounded(board: Board) -> None:
    for at in range(0, 4_000, 2):
        board.take(look(at, mail(at)))
    assert len(board._recent) <= RATE_SECONDS / 2 + 2
    assert len(board._long) <= WINDOW_SECONDS / 5 + 2


def test_failures_newest_first_each_once(board: Board) -> None:
    board.take_failures([failure(1), failure(3), failure(2), failure(3)])
    assert [one.job_id.int for one in board.failures()] == [3, 2, 1]


def test_the_newest_failures_are_kept(board: Board) -> None:
    board.take_failures([failure(number) for number in range(FAILURES_MAX + 50)])
    assert [one.job_id.int for one in board.failures()][-1] == 50
    assert len(board.failures()) == FAILURES_MAX


def test_failures_by_type_or_queue(board: Board) -> None:
    board.take_failures([failure(1, type="Print"), failure(2, queue="printers"), failure(3)])
    assert [one.job_id.int for one in board.failures("PRINT")] == [2, 1]


def test_messages_are_asked_for_of_the_newest(board: Board) -> None:
    board.take_failures([failure(number) for number in range(MESSAGES_MAX + 5)])
    asked = board.without_message()
    assert [one.job_id.int for one in asked] == list(range(MESSAGES_MAX + 4, 4, -1))
    board.take_message(asked[0], "gone")
    assert board.failures()[0].message == "gone"
    assert board.without_message()[0] == asked[1]


def test_a_message_of_a_failure_that_has_gone(board: Board) -> None:
    board.take_message(failure(1), "too late")
    assert board.failures() == []


def test_the_same_failure_keeps_its_message(board: Board) -> None:
    board.take_failures([failure(1, message="known", came_to=JobState.DEAD)])
    board.take_failures([failure(1)])
    assert board.failures()[0].message == "known"


def test_notes(board: Board) -> None:
    board.take(
        look(
            0,
            queues={"mail": queue(waiting=1)},
            unhandled_types=("fax", "telex"),
            healthy=health(active=0, stale=2),
        )
    )
    assert board.notes() == [
        "no live worker handles: fax, telex",
        "2 stale workers",
        "jobs wait and no worker is active",
    ]


def test_percentiles_lie_within_a_bucket() -> None:
    counts = {1.0: 50.0, 2.0: 100.0, math.inf: 100.0}
    assert percentile(counts, 0.25) == 0.5
    assert percentile(counts, 0.5) == 1.0
    assert percentile(counts, 0.75) == 1.5


def test_percentiles_beyond_the_last_bound_and_of_nothing() -> None:
    assert percentile({1.0: 0.0, math.inf: 3.0}, 0.5) == math.inf
    assert percentile({1.0: 0.0, math.inf: 0.0}, 0.5) is None
    assert percentile({}, 0.5) is None


def test_percentiles_pass_over_empty_buckets() -> None:
    assert percentile({1.0: 0.0, 2.0: 0.0, 4.0: 10.0, math.inf: 10.0}, 0.5) == 3.0
