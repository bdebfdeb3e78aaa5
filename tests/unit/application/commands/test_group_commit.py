"""Single submissions that arrive together are written together, and each is answered by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from schedora.application.commands import group_commit
from schedora.application.commands.group_commit import FLUSHES_MAX, GROUP_MAX, SHARED_MIN, GroupCommit
from schedora.application.errors import LockConflict, StoreUnavailable
from schedora.application.ports.job_reader import JobFilter
from schedora.application.ports.job_writer import JobWriter
from schedora.application.ports.jobs import NewJob, Submission
from schedora.application.ports.metrics import Counter
from schedora.application.telemetry.sampling import Sampler
from schedora.domain.ids import JsonText
from schedora.domain.job_request import JobRequest
from tests.builders import TRACE, a_request
from tests.unit.application.bench import Bench, a_bench


class Refused(Exception):
    """What a store says to a job that it can't keep."""


@define
class Gate:
    """A job writer that lets groups in one by one, and refuses what it is told to."""

    job_writer: JobWriter
    open: bool = False
    refuses: Callable[[NewJob], Exception | None] = lambda _: None
    groups: list[list[str]] = field(factory=list)
    """The types of the jobs of each group that came, in order."""
    _turn: asyncio.Condition = field(factory=asyncio.Condition)
    _let_in: int = 0

    async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
        number = len(self.groups)
        self.groups.append([job.request.type for job in jobs])
        async with self._turn:
            await self._turn.wait_for(lambda: self.open or number < self._let_in)
        for error in filter(None, map(self.refuses, jobs)):
            raise error
        return await self.job_writer.add(jobs)

    async def has_seen(self, count: int) -> None:
        await until(lambda: len(self.groups) == count)

    async def let_in(self, count: int = 1) -> None:
        async with self._turn:
            self._let_in += count
            self._turn.notify_all()


@pytest.fixture
def gate(bench: Bench) -> Gate:
    return Gate(bench.stores.job_writer)


@pytest.fixture
def group(bench: Bench, gate: Gate) -> GroupCommit:
    return group_over(bench, gate)


def group_over(bench: Bench, job_writer: JobWriter) -> GroupCommit:
    return GroupCommit(
        job_writer=job_writer,
        events=bench.stores.events,
        metrics=bench.metrics,
        randomness=bench.store.randomness,
    )


def sent(group: GroupCommit, *requests: JobRequest) -> list[asyncio.Task[Submission]]:
    return [asyncio.create_task(group.submit(request)) for request in requests]


async def until(happened: Callable[[], bool]) -> None:
    while not happened():
        await asyncio.sleep(0)


@asynccontextmanager
async def all_slots_taken(group: GroupCommit, gate: Gate) -> AsyncIterator[list[asyncio.Task[Submission]]]:
    """Each flush holds one job that the gate keeps, until the context ends."""
    first: list[asyncio.Task[Submission]] = []
    for number in range(FLUSHES_MAX):
        first += sent(group, a_request(type=f"first{number}"))
        await gate.has_seen(number + 1)
    yield first
    gate.open = True
    await gate.let_in()


async def stored(bench: Bench) -> list[str]:
    page = await bench.stores.job_reader.page(JobFilter(), limit=100, after=None)
    return sorted(job.request.type for job in page.jobs)


async def test_the_first_goes_at_once_and_those_who_come_meanwhile_together(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    async with all_slots_taken(group, gate) as first:
        rest = sent(group, *[a_request(type=f"t{number}") for number in range(5)])
        await asyncio.sleep(0)
        assert gate.groups == [[f"first{number}"] for number in range(FLUSHES_MAX)]
    answers = await asyncio.gather(*first, *rest)
    assert gate.groups[FLUSHES_MAX:] == [["t0", "t1", "t2", "t3", "t4"]]
    for answer in answers:
        assert answer.created
        assert await bench.stores.job(answer.job_id) == answer.job
    ids = [answer.job_id for answer in answers]
    assert ids == sorted(ids), "jobs that came later run later"


async def test_nobody_is_answered_before_his_job_is_durable(group: GroupCommit, gate: Gate) -> None:
    [waiting] = sent(group, a_request())
    await until(lambda: bool(gate.groups))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    await gate.let_in()
    assert (await waiting).created


async def test_a_group_is_counted_and_notified_for_once(bench: Bench, group: GroupCommit, gate: Gate) -> None:
    gate.open = True
    requests = [
        a_request(queue=queue, idempotency_key=key) for queue, key in [("a", "1"), ("b", "2"), ("b", "2")]
    ]
    await asyncio.gather(*sent(group, *requests))
    assert bench.metrics.counted == {
        (Counter.JOBS_CREATED, "work"): 2,
        (Counter.QUEUE_ENQUEUED, "a"): 1,
        (Counter.QUEUE_ENQUEUED, "b"): 1,
    }
    [hint] = bench.hints
    assert hint.queues == {"a", "b"}


async def test_a_job_that_the_store_refuses_fails_none_of_its_neighbours(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    gate.open = True
    gate.refuses = lambda job: Refused(job.request.type) if job.request.type.startswith("bad") else None
    types = ["a", "bad1", "b", "c", "bad2", "d"]
    answers = await asyncio.gather(
        *sent(group, *[a_request(type=one) for one in types]), return_exceptions=True
    )
    for job_type, answer in zip(types, answers, strict=True):
        if job_type.startswith("bad"):
            assert isinstance(answer, Refused)
            assert str(answer) == job_type
        else:
            assert isinstance(answer, Submission)
            assert answer.job.request.type == job_type
    assert await stored(bench) == ["a", "b", "c", "d"]


async def test_a_payload_that_is_no_unicode_fails_none_of_its_neighbours(bench: Bench) -> None:
    half = a_request(payload=JsonText('{"a":"\ud800"}'))
    group = bench.group_commit
    one, bad, two = await asyncio.gather(
        *sent(group, a_request(type="a"), half, a_request(type="b")), return_exceptions=True
    )
    assert isinstance(bad, UnicodeEncodeError)
    assert isinstance(one, Submission)
    assert isinstance(two, Submission)
    assert await stored(bench) == ["a", "b"]


async def test_what_one_has_to_wait_for_the_others_do_not(bench: Bench, gate: Gate) -> None:
    released = asyncio.Event()

    class Held:
        """Somebody's open transaction has the key of jobs of type ``held``."""

        async def add(self, jobs: Sequence[NewJob]) -> list[Submission]:
            if any(job.request.type == "held" for job in jobs):
                if len(jobs) > 1:
                    raise LockConflict("a lock was not to be had in time")
                await released.wait()
            return await bench.stores.job_writer.add(jobs)

    group = group_over(bench, Held())
    requests = [a_request(type=one) for one in ("a", "held", "b", "held", "held")]
    tasks = sent(group, *requests)
    await asyncio.gather(tasks[0], tasks[2])
    # More are stuck than there are flushes, and still it goes on.
    assert (await group.submit(a_request(type="c"))).created
    assert not any(tasks[place].done() for place in (1, 3, 4))
    released.set()
    await asyncio.gather(*tasks)
    assert await stored(bench) == ["a", "b", "c", "held", "held", "held"]


async def test_one_that_is_in_the_way_by_itself_is_told_so(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    gate.open = True
    gate.refuses = lambda job: LockConflict("deadlock") if job.request.type == "bad" else None
    good, bad = await asyncio.gather(*sent(group, a_request(), a_request(type="bad")), return_exceptions=True)
    assert isinstance(good, Submission)
    assert isinstance(bad, LockConflict)


async def test_without_a_store_each_is_told_with_an_error_of_its_own(bench: Bench) -> None:
    bench.faults.away = True
    group = bench.group_commit
    answers = await asyncio.gather(*sent(group, a_request(), a_request()), return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert len({id(answer) for answer in answers}) == 2
    assert len({str(answer) for answer in answers}) == 1
    bench.faults.away = False
    assert (await group.submit(a_request())).created


async def test_who_leaves_before_his_turn_leaves_nothing_behind(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    async with all_slots_taken(group, gate) as first:
        leaver, stayer = sent(group, a_request(type="leaver"), a_request(type="stayer"))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait([leaver])
    assert (await stayer).created
    await asyncio.gather(*first)
    assert "leaver" not in await stored(bench)
    assert "stayer" in await stored(bench)


async def test_if_all_leave_nothing_is_written(bench: Bench, group: GroupCommit, gate: Gate) -> None:
    async with all_slots_taken(group, gate) as first:
        [leaver] = sent(group, a_request(type="leaver"))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait([leaver])
    await asyncio.gather(*first)
    await until(lambda: not group._tasks)
    assert len(gate.groups) == FLUSHES_MAX


async def test_who_leaves_while_his_group_is_written_takes_nobody_with_him(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    leaver, stayer = sent(group, a_request(type="leaver"), a_request(type="stayer"))
    await until(lambda: bool(gate.groups))
    leaver.cancel()
    await asyncio.wait([leaver])
    gate.open = True
    await gate.let_in()
    assert (await stayer).created
    assert leaver.cancelled()
    assert await stored(bench) == ["leaver", "stayer"], "it was on its way"


@asynccontextmanager
async def one_by_one(group: GroupCommit, gate: Gate) -> AsyncIterator[None]:
    """Once a job has come alone, those who come alone write for themselves."""
    gate.open = True
    await group.submit(a_request(type="earlier"))
    gate.open = False
    gate._let_in = len(gate.groups)
    yield


async def test_who_comes_alone_again_and_again_writes_for_himself(group: GroupCommit, gate: Gate) -> None:
    async with one_by_one(group, gate):
        [alone] = sent(group, a_request(type="alone"))
        await gate.has_seen(2)
        assert not group._tasks
        await gate.let_in()
        assert (await alone).created


async def test_who_comes_while_another_writes_for_himself_is_written_after_him(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    async with one_by_one(group, gate):
        [alone] = sent(group, a_request(type="alone"))
        await gate.has_seen(2)
        aside = sent(group, a_request(type="aside"))
        await gate.has_seen(3)
        rest = sent(group, a_request(type="t0"), a_request(type="t1"))
        await until(lambda: len(group._waiting) == 2)
        await gate.let_in()
        assert (await alone).created
        await gate.has_seen(4)
        gate.open = True
        await gate.let_in()
        assert all(one.created for one in await asyncio.gather(*aside, *rest))
    assert gate.groups == [["earlier"], ["alone"], ["aside"], ["t0", "t1"]]
    await until(lambda: not group._tasks)
    assert (group._flushing, group._writing) == (0, 0)


async def test_who_leaves_while_he_writes_for_himself_holds_nobody_up(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    async with one_by_one(group, gate):
        [leaver] = sent(group, a_request(type="leaver"))
        await gate.has_seen(2)
        leaver.cancel()
        await asyncio.wait([leaver])
        assert leaver.cancelled()
        gate.open = True
        assert (await group.submit(a_request(type="next"))).created
    assert await stored(bench) == ["earlier", "next"]


async def test_who_writes_for_himself_is_told_what_is_wrong(
    bench: Bench, group: GroupCommit, gate: Gate
) -> None:
    async with one_by_one(group, gate):
        gate.open = True
        gate.refuses = lambda job: Refused() if job.request.type == "bad" else None
        with pytest.raises(Refused):
            await group.submit(a_request(type="bad"))
        assert (await group.submit(a_request(type="good"))).created
    assert await stored(bench) == ["earlier", "good"]


async def test_groups_have_a_limit(group: GroupCommit, gate: Gate) -> None:
    async with all_slots_taken(group, gate) as first:
        rest = sent(group, *[a_request()] * (FLUSHES_MAX * GROUP_MAX + 1))
        await until(lambda: len(group._waiting) == len(rest))
    await asyncio.gather(*first, *rest)
    sizes = [len(types) for types in gate.groups[FLUSHES_MAX:]]
    assert max(sizes) == GROUP_MAX
    assert sum(sizes) == len(rest)


@pytest.mark.parametrize(
    ("count", "sizes"), [(SHARED_MIN, [SHARED_MIN]), (2 * SHARED_MIN + 1, [SHARED_MIN + 1, SHARED_MIN])]
)
async def test_many_who_come_at_one_moment_are_shared_between_the_flushes(
    group: GroupCommit, gate: Gate, count: int, sizes: list[int]
) -> None:
    tasks = sent(group, *[a_request()] * count)
    await gate.has_seen(len(sizes))
    assert [len(types) for types in gate.groups] == sizes
    await gate.let_in(len(sizes))
    await asyncio.gather(*tasks)


async def test_groups_have_a_limit_in_characters(
    group: GroupCommit, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "GROUP_CHARACTERS_MAX", 100)
    gate.open = True
    wide = a_request(payload=JsonText('{"a":"' + "x" * 60 + '"}'))
    await asyncio.gather(*sent(group, *[wide] * 5))
    assert sorted(len(types) for types in gate.groups) == [1, 2, 2]


@pytest.mark.parametrize("bound", ["WAITING_MAX", "WAITING_CHARACTERS_MAX"])
async def test_who_finds_no_room_waits_for_it(
    bench: Bench, group: GroupCommit, gate: Gate, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    monkeypatch.setattr(group_commit, bound, 2)
    request = a_request(payload=JsonText("1"))
    async with all_slots_taken(group, gate) as first:
        rest = sent(group, *[request] * 5)
        await until(lambda: len(group._waiting) == 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(group._waiting) == 2
    await asyncio.gather(*first, *rest)
    assert len(await stored(bench)) == FLUSHES_MAX + 5
    assert max(map(len, gate.groups)) <= 2
    assert group._characters == 0


async def test_the_end_of_the_event_loop_is_told_to_those_who_wait(group: GroupCommit, gate: Gate) -> None:
    under_way: list[asyncio.Task[Submission]] = []
    for number in range(FLUSHES_MAX):
        under_way += sent(group, a_request())
        await gate.has_seen(number + 1)
    waiting = sent(group, a_request())
    await asyncio.sleep(0)
    for task in group._tasks:
        task.cancel()
    answers = await asyncio.gather(*under_way, *waiting, return_exceptions=True)
    assert all(isinstance(answer, StoreUnavailable) for answer in answers)
    assert {str(answer) for answer in answers} == {
        "the process ends while the job is stored",
        "the process ends before the job was stored",
    }


requests = st.lists(
    st.builds(
        a_request,
        idempotency_key=st.none() | st.sampled_from(["k1", "k2", "k3"]),
        priority=st.sampled_from([4, 5]),
        queue=st.sampled_from(["a", "b"]),
    ),
    max_size=12,
)


def outcome(submission: Submission, earlier: list[Submission]) -> tuple[object, ...]:
    """What became of it, its job named by the request that made it."""
    maker = next(place for place, one in enumerate(earlier) if one.job_id == submission.job_id)
    request = submission.job.request
    given = None if request.idempotency_key == str(submission.job_id) else request.idempotency_key
    return submission.created, submission.same_request, maker, attrs.evolve(request, idempotency_key=given)


@given(requests)
def test_together_they_come_to_the_same_as_one_by_one(given_requests: list[JobRequest]) -> None:
    async def together(bench: Bench) -> list[Submission]:
        return await asyncio.gather(*sent(bench.group_commit, *given_requests))

    async def one_by_one(bench: Bench) -> list[Submission]:
        group = bench.group_commit
        return [await group.submit(request) for request in given_requests]

    outcomes = []
    for way in (together, one_by_one):
        answers = asyncio.run(way(a_bench()))
        outcomes.append([outcome(answer, answers) for answer in answers])
    assert outcomes[0] == outcomes[1]


async def test_what_is_not_to_be_traced_says_so(bench: Bench) -> None:
    group = GroupCommit(
        job_writer=bench.stores.job_writer,
        events=bench.stores.events,
        metrics=bench.metrics,
        randomness=bench.store.randomness,
        sampler=Sampler(ratio=0.0),
    )
    assert not (await group.submit(a_request())).job.trace.sampled
    assert (await group.submit(a_request(trace=TRACE))).job.trace == TRACE
