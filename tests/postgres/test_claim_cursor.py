"""What a claim that starts behind places may pass over, and for how long."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import attrs
import orjson
import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg.sql import SQL, Identifier

from schedora.adapters.postgres import claim_cursor
from schedora.adapters.postgres.claim_cursor import PASSED_OVER_SECONDS_MAX, ClaimCursor
from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.job_queue import PostgresJobQueue
from schedora.adapters.postgres.jobs import PostgresJobStore
from schedora.adapters.postgres.session import AsyncpgConnection, TransactionSession
from schedora.adapters.postgres.tables import metadata
from schedora.domain.claimed_job import ClaimedJob
from schedora.domain.ids import JobId
from schedora.domain.outcome import Failed, Released, Succeeded
from schedora.domain.retry import RetryPolicy
from schedora.domain.worker import Worker
from tests.builders import a_new_job, a_request
from tests.contract.postgres import postgres_stores
from tests.contract.stores import Stores

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
QUICK, WALK = 0.0001, 0.1
EXAMPLES, STEPS = 15, 50


def a_row(n: int, queue: str = "default", priority: int = 5) -> dict[str, Any]:
    return {
        "tenant_id": 1, "queue": queue, "priority": priority, "type": "work",
        "scheduled_at": NOON + timedelta(seconds=n), "job_id": UUID(int=n),
    }  # fmt: skip


class Driven:
    """A cursor on a clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.cursor = ClaimCursor(lambda: self.now)

    def claim(
        self,
        *rows: dict[str, Any],
        full: bool = True,
        walk: float = WALK,
        quick: float = QUICK,
        heads: list[Any] | None = None,
    ) -> bool:
        """One claim that takes ``walk`` from the beginning, ``quick`` behind places; whether it was behind."""
        start = self.cursor.start()
        seconds = quick if start.behind else walk
        self.now += seconds
        told = orjson.dumps(heads).decode() if heads and start.heads_limit else None
        self.cursor.finish(start, {"sought_seconds": seconds, "heads": told}, rows, full=full)
        return start.behind

    @property
    def places(self) -> dict[str, tuple[datetime, UUID]]:
        parameters = self.cursor.start().parameters
        return dict(
            zip(
                parameters["known_queue"],
                zip(parameters["known_at"], parameters["known_id"], strict=True),
                strict=True,
            )
        )


@pytest.fixture
def driven() -> Driven:
    return Driven()


def test_quick_claims_start_at_the_beginning(driven: Driven) -> None:
    assert not any(driven.claim(a_row(n), walk=QUICK) for n in range(10))


def test_one_slow_claim_may_be_chance(driven: Driven) -> None:
    assert not any(driven.claim(a_row(n), walk=WALK if n % 2 else QUICK) for n in range(10))


def test_slow_claims_are_spared(driven: Driven) -> None:
    assert [driven.claim(a_row(n)) for n in range(5)] == [False, False, True, True, True]
    assert driven.places == {"default": (NOON + timedelta(seconds=4), UUID(int=4))}


def test_one_part_in_twenty_of_the_time_goes_to_the_beginning(driven: Driven) -> None:
    starts = [(driven.now, driven.claim(a_row(n), walk=0.01, quick=0.001)) for n in range(4_000)]
    walks = [at for at, behind in starts if not behind]
    assert 0.04 < 0.01 * len(walks) / (driven.now - 1_000.0) < 0.06


def test_the_beginning_is_never_left_for_longer_than_said(driven: Driven) -> None:
    starts = [(driven.now, driven.claim(a_row(n), walk=5.0, quick=0.01)) for n in range(4_000)]
    walks = [at for at, behind in starts if not behind]
    assert max(later - at - 5.0 for at, later in pairwise(walks)) <= PASSED_OVER_SECONDS_MAX + 0.01


def test_places_that_do_not_pay_are_given_up_for_a_while(driven: Driven) -> None:
    starts = [driven.claim(a_row(n), walk=0.02, quick=0.019) for n in range(6)]
    assert starts == [False, False, True, False, False, False]
    driven.now += 2.0
    assert [driven.claim(a_row(n)) for n in range(2)] == [False, True]


def test_all_is_forgotten_when_claims_are_quick_again(driven: Driven) -> None:
    for n in range(3):
        driven.claim(a_row(n))
    driven.now += 10.0
    assert [driven.claim(a_row(n), walk=QUICK) for n in range(3, 6)] == [False, False, False]


def test_a_claim_that_has_caught_up_looks_back_a_little(driven: Driven) -> None:
    for n in range(3):
        driven.claim(a_row(n))
    driven.claim(a_row(3), full=False)
    assert driven.places == {"default": (NOON + timedelta(seconds=2), UUID(int=0))}
    assert timedelta(0) < driven.cursor.restart_in() <= timedelta(seconds=PASSED_OVER_SECONDS_MAX)


def test_what_a_claim_from_the_beginning_left_is_not_passed_over(driven: Driven) -> None:
    for n in range(3):
        driven.claim(a_row(10 + n, queue="mail"))
    driven.now += 10.0
    head = [1, "mail", 5, "work", (NOON + timedelta(seconds=3)).isoformat(), str(UUID(int=3))]
    assert not driven.claim(a_row(1, queue="urgent"), heads=[head])
    assert driven.places == {
        "mail": (NOON + timedelta(seconds=3), UUID(int=2)),
        "urgent": (NOON + timedelta(seconds=1), UUID(int=1)),
    }


def test_a_lane_that_was_empty_keeps_its_place(driven: Driven) -> None:
    for n in range(3):
        driven.claim(a_row(10 + n, queue="mail"))
    driven.now += 10.0
    assert not driven.claim(a_row(1, queue="urgent"), heads=[])
    assert driven.places["mail"] == (NOON + timedelta(seconds=12), UUID(int=12))


def test_a_claim_that_was_under_way_is_no_news_after_one_from_the_beginning(driven: Driven) -> None:
    for n in range(3):
        driven.claim(a_row(n))
    under_way = driven.cursor.start()
    assert under_way.behind
    driven.now += 10.0
    head = [1, "default", 5, "work", (NOON + timedelta(seconds=1)).isoformat(), str(UUID(int=1))]
    assert not driven.claim(heads=[head])
    driven.cursor.finish(under_way, {"sought_seconds": QUICK, "heads": None}, [a_row(9)], full=True)
    assert driven.places == {"default": (NOON + timedelta(seconds=1), UUID(int=0))}


def test_places_are_few(driven: Driven) -> None:
    for n in range(500):
        driven.claim(a_row(n, queue=f"q{n}"))
        assert len(driven.places) <= claim_cursor._LANES_MAX
    driven.now += 10.0
    heads = [
        [1, f"q{n}", 5, "work", NOON.isoformat(), str(UUID(int=n))] for n in range(claim_cursor._LANES_MAX)
    ]
    driven.claim(heads=heads)
    assert set(driven.places) == {head[1] for head in heads}, (
        "of the others nobody knows what was left in them"
    )


arrivals = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5), st.floats(0, 30)), max_size=200)


@settings(max_examples=50)
@given(arrivals, st.floats(0.001, 0.3), st.integers(1, 5))
def test_nothing_ready_is_passed_over_for_longer_than_said(
    jobs: list[tuple[int, float, float]], walk: float, limit: int
) -> None:
    """Jobs come in late: each with a lane, the time at which it may be claimed, and by how much it is older."""
    driven = Driven()
    coming = sorted((at, lane, n, age) for n, (lane, at, age) in enumerate(jobs, 1))
    waiting: dict[tuple[datetime, int], tuple[int, float]] = {}
    began = driven.now
    while coming or waiting:
        while coming and began + coming[0][0] <= driven.now:
            at, lane, n, age = coming.pop(0)
            waiting[NOON + timedelta(seconds=at - age), n] = (lane, driven.now)
        asked_at = driven.now
        start = driven.cursor.start()
        places = dict(zip(start.parameters["known_queue"], start.places, strict=True))
        seen = sorted(
            (key, lane)
            for key, (lane, _) in waiting.items()
            if str(lane) not in places or (key[0], UUID(int=key[1])) > places[str(lane)][1]
        )
        heads: dict[int, tuple[datetime, int]] = {}
        for key, lane in seen:
            heads.setdefault(lane, key)
        taken = [{**a_row(key[1], queue=str(lane)), "scheduled_at": key[0]} for key, lane in seen[:limit]]
        seconds = QUICK if start.behind else walk
        driven.now += seconds
        told = [
            [1, str(lane), 5, "work", at.isoformat(), str(UUID(int=n))] for lane, (at, n) in heads.items()
        ]
        driven.cursor.finish(
            start,
            {"sought_seconds": seconds, "heads": orjson.dumps(told).decode() if start.heads_limit else None},
            taken,
            full=len(taken) == limit,
        )
        for key, _ in seen[:limit]:
            del waiting[key]
        last = max((key for key, _ in seen[:limit]), default=None) if len(taken) == limit else None
        for key, (_, since) in waiting.items():
            if since < asked_at - PASSED_OVER_SECONDS_MAX:
                assert last is not None, "it waits although there was room"
                assert key > last, "a later one was taken"
        if not taken:
            driven.now += 0.05


class Eager(ClaimCursor):
    """Starts behind places whenever it may."""

    def _is_slow(self, beyond_seconds: float) -> bool:
        return True

    def _pays(self, beyond_seconds: float) -> bool:
        return True


picks = st.integers(0, 999)


class PassingOver(RuleBasedStateMachine):
    """Jobs come and go in any order of time; two sessions have transactions open that commit whenever they like."""

    runner: asyncio.Runner
    stores: Stores
    database: Database
    clean: Any

    @attrs.define
    class Known:
        job_id: JobId
        queue: str
        key: tuple[int, datetime, JobId]
        since: float

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ready: list[PassingOver.Known] = []
        self.held: list[ClaimedJob] = []
        self.paused: dict[str, float] = {}
        self.open: list[tuple[AsyncpgConnection, list[PassingOver.Known]]] = []

    @initialize()
    def begin(self) -> None:
        self.clean()
        queue = self.stores.job_queue
        assert isinstance(queue, PostgresJobQueue)
        # Twenty times what it took would be over at once.
        queue._cursor = self.cursor = Eager(lambda: self.now)
        self.worker: Worker = self.runner.run(self.stores.worker())

    def teardown(self) -> None:
        for connection, _ in self.open:
            self.runner.run(connection.close())

    def known(self, new: Any, stored: Any) -> "PassingOver.Known":
        return self.Known(
            job_id=new.job_id,
            queue=new.request.queue,
            key=(-new.request.priority, stored.scheduled_at, new.job_id),
            since=self.now,
        )

    @rule(
        queue=st.sampled_from("ab"),
        priority=st.integers(4, 6),
        seconds_ago=st.sampled_from([0, 0, 0, 1, 5, 3600]),
        late=st.booleans(),
    )
    def submit(self, queue: str, priority: int, seconds_ago: int, late: bool) -> None:
        asyncio_run = self.runner.run
        now = asyncio_run(self.stores.now())
        new = a_new_job(
            a_request(
                queue=queue,
                priority=priority,
                scheduled_at=now - timedelta(seconds=seconds_ago) if seconds_ago else None,
                retry=RetryPolicy(base=timedelta(0), max_retries=100),
            )
        )
        if not late or len(self.open) == 2:
            [job] = asyncio_run(self.stores.add(new))
            self.ready.append(self.known(new, job))
            return
        connection = asyncio_run(self.database.connect())
        asyncio_run(connection.execute("begin"))
        [submission] = asyncio_run(PostgresJobStore(TransactionSession(connection, "a caller's")).add([new]))
        self.open.append((connection, [self.known(new, submission.job)]))

    @precondition(lambda self: self.open)
    @rule(pick=picks)
    def commit(self, pick: int) -> None:
        connection, jobs = self.open.pop(pick % len(self.open))
        self.runner.run(connection.execute("commit"))
        self.runner.run(connection.close())
        self.ready += [attrs.evolve(job, since=self.now) for job in jobs]

    @rule(seconds=st.sampled_from([0.001, 0.5, PASSED_OVER_SECONDS_MAX + 0.001]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(queue=st.sampled_from("ab"))
    def pause_or_resume(self, queue: str) -> None:
        if self.paused.pop(queue, None) is None:
            self.paused[queue] = self.now
            self.runner.run(self.stores.queues.pause(queue))
            return
        self.runner.run(self.stores.queues.resume(queue))
        for job in self.ready:
            if job.queue == queue:
                job.since = self.now

    @rule(limit=st.sampled_from([1, 2, 3, 10]))
    def claim(self, limit: int) -> None:
        start = self.cursor.start()
        answer = self.runner.run(self.stores.ask(self.worker, limit=limit))
        claimed = {job.job_id for job in answer.claimed}
        keys = [(-job.priority, job.scheduled_at, job.job_id) for job in answer.claimed]
        assert keys == sorted(keys)
        waiting = {job.job_id: job for job in self.ready}
        assert all(waiting[job_id].queue not in self.paused for job_id in claimed)
        self.held += answer.claimed
        self.ready = [job for job in self.ready if job.job_id not in claimed]
        for job in self.ready:
            if job.queue in self.paused:
                continue
            if not start.behind or job.since < self.now - PASSED_OVER_SECONDS_MAX:
                assert len(claimed) == limit, "it waits although there was room"
                assert job.key > keys[-1], "a later one was taken"
            elif len(claimed) < limit:
                assert answer.next_due_at is not None
                assert answer.next_due_at <= answer.at + timedelta(seconds=PASSED_OVER_SECONDS_MAX)

    @precondition(lambda self: self.held)
    @rule(
        pick=picks,
        outcome=st.sampled_from([Succeeded(), Released(reason="draining"), Failed(kind="x", message="")]),
    )
    def end(self, pick: int, outcome: Any) -> None:
        claim = self.held.pop(pick % len(self.held))
        assert self.runner.run(self.stores.complete(claim, outcome))
        if not isinstance(outcome, Succeeded):
            job = self.runner.run(self.stores.job(claim.job_id))
            key = (-claim.priority, job.scheduled_at, claim.job_id)
            self.ready.append(self.Known(job_id=claim.job_id, queue=claim.queue, key=key, since=self.now))


@pytest.fixture
def machine(migrated_url: str) -> Iterator[type[PassingOver]]:
    tables = SQL(", ").join(Identifier(table.name) for table in metadata.sorted_tables)
    with asyncio.Runner() as runner, psycopg.connect(migrated_url, autocommit=True) as connection:
        database = Database(migrated_url, pool_size=2, max_overflow=0)
        runner.run(database.__aenter__())

        class OnThisDatabase(PassingOver):
            pass

        OnThisDatabase.runner = runner
        OnThisDatabase.database = database
        OnThisDatabase.stores = postgres_stores(database)
        OnThisDatabase.clean = staticmethod(
            lambda: connection.execute(
                # The queues are there before: who makes one holds it until it commits.
                SQL("TRUNCATE {}; INSERT INTO queues (name) VALUES ('a'), ('b')").format(tables)
            )
        )
        yield OnThisDatabase
        runner.run(database.__aexit__(None, None, None))


def test_nothing_ready_waits_for_longer_than_said(
    machine: type[PassingOver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_cursor, "_SHARE", 1e9)  # so that nothing but the bound ends the use of places
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
