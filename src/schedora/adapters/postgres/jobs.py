"""Jobs as commands change them, inside of one unit of work."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeAlias
from uuid import uuid4

from schedora.adapters.postgres import arrays, rows
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import Statement, load, written
from schedora.adapters.postgres.sync_match import channel, listener_lock_key, told
from schedora.application.errors import LockConflict
from schedora.application.ports.jobs import NewJob, Submission
from schedora.domain.completion import Completion
from schedora.domain.ids import IncarnationId, JobId, LeaseId, TenantId
from schedora.domain.job import Job

_ROWS_MAX = 1_000
_PAYLOAD_CHARACTERS_MAX = 8 * 1024 * 1024
_TRIES = 10

_LOCK_READY = written("""
select r.job_id from job_ready r where r.job_id = any(:job_id::uuid[]) order by r.job_id for update
""")
_LOCK_LEASES = written("""
select l.job_id from job_leases l where l.job_id = any(:job_id::uuid[]) order by l.job_id for update
""")
_LOCK_JOBS = written("""
{full_jobs}
where jobs.job_id = any(:job_id::uuid[])
order by jobs.job_id
for update of jobs
""")
_SAVEPOINT = Statement("savepoint unlocked", ())
_ROLLBACK = Statement("rollback to savepoint unlocked", ())
_RELEASE = Statement("release savepoint unlocked", ())
_BY_KEY = written("""
{full_jobs}
where jobs.tenant_id = :tenant_id::int and jobs.idempotency_key = any(:keys::text[])
""")


_Key: TypeAlias = tuple[TenantId, str]


class _Owner(NamedTuple):
    """Whoever has an idempotency key."""

    job: Job
    fingerprint: bytes


class Added(NamedTuple):
    """A job that was stored while a worker offered to start it."""

    submission: Submission
    matched: bool
    """Leased to that worker, and not left for anybody to claim."""
    looked_seconds: float
    """What it took to see whether another goes before it."""


class PostgresJobStore:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(
        self, new_jobs: Sequence[NewJob], *, patience: timedelta | None = None, hint: str | None = None
    ) -> list[Submission]:
        """``patience`` is for keys that open transactions have taken. With what is created ``hint`` is sent. Raises
        ``LockConflict``.
        """
        if len(new_jobs) == 1 and (submission := await self._add_one(new_jobs[0], patience, hint)):
            return [submission]
        keys = [_key(new) for new in new_jobs]
        answers: dict[int, Submission] = {}
        # In one order everywhere, so that batches with common keys can't wait for each other in a circle. The
        # sort is stable: of those with one key, the first one given is stored.
        missing = sorted(range(len(new_jobs)), key=keys.__getitem__)
        for _ in range(_TRIES):
            for places in chunks(new_jobs, missing):
                answer = await self._submit([new_jobs[place] for place in places], patience, hint)
                created_at = answer["created_at"]
                created = None if answer["created"] is None else set(answer["created"])
                for place in places:
                    new = new_jobs[place]
                    if created is None or new.job_id in created:
                        answers[place] = Submission(new=new, created=True, created_at=created_at)
            missing = [place for place in missing if place not in answers]
            if missing:
                # A statement of its own, for it sees what the one before had to wait for.
                owners = await self._owners({keys[place] for place in missing})
                for place in missing:
                    if (owner := owners.get(keys[place])) is not None:
                        answers[place] = _found(new_jobs[place], owner)
                missing = [place for place in missing if place not in answers]
            if not missing:
                return [answers[place] for place in range(len(new_jobs))]
        raise LockConflict("jobs under the same idempotency keys come and go while these are added")

    async def lock(self, job_ids: Collection[JobId]) -> list[Job]:
        ids = sorted(set(job_ids))
        await self._session.fetch(_SAVEPOINT)
        for _ in range(_TRIES):
            # The row that says where a job stands is its mutex. Three statements: each one sees what the one
            # before had to wait for.
            places = {row["job_id"] for row in await self._session.fetch(_LOCK_READY, job_id=ids)}
            places |= {row["job_id"] for row in await self._session.fetch(_LOCK_LEASES, job_id=ids)}
            locked = [rows.job(row) for row in await self._session.fetch(_LOCK_JOBS, job_id=ids)]
            if all(job.job_id in places for job in locked if job.claimable or job.lease):
                await self._session.fetch(_RELEASE)
                return locked
            # One came to its place while it was waited for elsewhere: once more. Not with its record in hand:
            # whoever has the place already waits for that.
            await self._session.fetch(_ROLLBACK)
        raise LockConflict(f"jobs among {len(ids)} move faster than they can be locked")

    async def save(self, saved: Sequence[Job]) -> None:
        for start in range(0, len(saved), _ROWS_MAX):
            chunk = saved[start : start + _ROWS_MAX]
            await self._session.fetch(load("remove_ready"), job_id=[job.job_id for job in chunk])
            await self._session.fetch(load("save"), **arrays.of_jobs(chunk))

    async def delete(self, job_ids: Collection[JobId]) -> None:
        await self._session.fetch(load("delete"), job_id=sorted(set(job_ids)))

    async def complete(self, completions: Sequence[Completion]) -> set[LeaseId]:
        (answer,) = await self._session.fetch(load("complete"), **arrays.of_completions(completions))
        accepted = answer["accepted"]
        return {one.lease_id for one in completions} if accepted is None else set(accepted)

    async def release(self, job_ids: Collection[JobId]) -> set[str]:
        released = await self._session.fetch(load("release"), job_id=sorted(set(job_ids)))
        return {row["queue"] for row in released}

    async def downstream(self, job_ids: Collection[JobId]) -> list[Job]:
        reached = await self._session.fetch(load("downstream"), job_id=sorted(set(job_ids)))
        return [job for job in await self.lock([row["job_id"] for row in reached]) if not job.ended]

    async def add_sync_matched(self, new: NewJob, owner: IncarnationId) -> Added | None:
        """Leases it to ``owner`` as it is stored, who is told of it, if that one may have it. None where it takes more than
        the shortest way, and nothing is stored.
        """
        lease_id = LeaseId(uuid4())
        created = await self._session.fetch(
            load("submit_sync_matched"),
            **arrays.of_one_job(new),
            owner=owner,
            lease_id=lease_id,
            channel=channel(owner),
            listener_lock=listener_lock_key(owner),
            told=told(new, owner, lease_id),
        )
        if not created:
            return None
        (answer,) = created
        return Added(
            submission=Submission(new=new, created=True, created_at=answer["created_at"]),
            matched=answer["matched"],
            looked_seconds=answer["looked_seconds"],
        )

    async def _add_one(self, new: NewJob, patience: timedelta | None, hint: str | None) -> Submission | None:
        """None where it takes more than the shortest way: its key is taken, its queue is new."""
        if patience is not None or new.request.workflow_id is not None:
            return None
        created = await self._session.fetch(load("submit_one"), **arrays.of_one_job(new), hint=hint)
        return Submission(new=new, created=True, created_at=created[0]["created_at"]) if created else None

    async def _submit(self, new_jobs: Sequence[NewJob], patience: timedelta | None, hint: str | None) -> Row:
        """When, and which were created; None for all."""
        if len(new_jobs) > 1 and arrays.alike(new_jobs):
            values = arrays.of_alike_jobs(new_jobs, patience)
            (answer,) = await self._session.fetch(load("submit_alike"), **values, hint=hint)
            if answer["created"] != []:  # else all keys are taken, or the queue is new
                return answer
        values = arrays.of_new_jobs(new_jobs, patience)
        (answer,) = await self._session.fetch(load("submit"), **values, hint=hint)
        return answer

    async def _owners(self, keys: Collection[_Key]) -> dict[_Key, _Owner]:
        owners: dict[_Key, _Owner] = {}
        for tenant_id in {tenant_id for tenant_id, _ in keys}:
            wanted = sorted(key for of_tenant, key in keys if of_tenant == tenant_id)
            for row in await self._session.fetch(_BY_KEY, tenant_id=tenant_id, keys=wanted):
                owners[tenant_id, row["idempotency_key"]] = _Owner(rows.job(row), row["fingerprint"])
        return owners


def chunks(new_jobs: Sequence[NewJob], places: Sequence[int]) -> Iterator[list[int]]:
    """The places in pieces that one statement each can carry."""
    chunk: list[int] = []
    characters = 0
    for place in places:
        size = len(new_jobs[place].request.payload)
        if chunk and (len(chunk) == _ROWS_MAX or characters + size > _PAYLOAD_CHARACTERS_MAX):
            yield chunk
            chunk, characters = [], 0
        chunk.append(place)
        characters += size
    if chunk:
        yield chunk


def _key(new: NewJob) -> _Key:
    """What must be unique: the idempotency key, and the id for those that have none."""
    return new.tenant_id, new.idempotency_key or f"\x00{new.job_id}"


def _found(new: NewJob, owner: _Owner) -> Submission:
    return Submission(
        new=new,
        created=False,
        same_request=owner.fingerprint == new.fingerprint,
        created_at=owner.job.created_at,
        record=owner.job,
    )
