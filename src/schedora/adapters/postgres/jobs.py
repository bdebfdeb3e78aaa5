"""Jobs as commands change them, inside of one unit of work."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias

import attrs
from sqlalchemy import ARRAY, Text, Uuid, bindparam, func, select

from schedora.adapters.postgres import arrays, rows
from schedora.adapters.postgres.errors import Entangled
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement, compiled, load
from schedora.adapters.postgres.tables import job_leases, job_ready, jobs
from schedora.application.ports.jobs import NewJob, Submission
from schedora.domain.completion import Completion
from schedora.domain.ids import JobId, LeaseId, TenantId
from schedora.domain.job import Job

_ROWS_MAX = 1_000
_PAYLOAD_CHARACTERS_MAX = 8 * 1024 * 1024
_TRIES = 10

_IDS = func.any(bindparam("job_id", type_=ARRAY(Uuid)))
_LOCK_READY = compiled(
    select(job_ready.c.job_id)
    .where(job_ready.c.job_id == _IDS)
    .order_by(job_ready.c.job_id)
    .with_for_update()
)
_LOCK_LEASES = compiled(
    select(job_leases.c.job_id)
    .where(job_leases.c.job_id == _IDS)
    .order_by(job_leases.c.job_id)
    .with_for_update()
)
_LOCK_JOBS = compiled(
    rows.selected_jobs().where(jobs.c.job_id == _IDS).order_by(jobs.c.job_id).with_for_update(of=jobs)
)
_SAVEPOINT = Statement("savepoint unlocked", ())
_ROLLBACK = Statement("rollback to savepoint unlocked", ())
_RELEASE = Statement("release savepoint unlocked", ())
_BY_KEY = compiled(
    rows.selected_jobs().where(
        jobs.c.tenant_id == bindparam("tenant_id", type_=jobs.c.tenant_id.type),
        jobs.c.idempotency_key == func.any(bindparam("keys", type_=ARRAY(Text))),
    )
)


_Key: TypeAlias = tuple[TenantId, str]


class _Owner(NamedTuple):
    """Whoever has an idempotency key."""

    job: Job
    fingerprint: bytes


class PostgresJobStore:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, new_jobs: Sequence[NewJob]) -> list[Submission]:
        stored: dict[JobId, Job] = {}
        owners: dict[_Key, _Owner] = {}
        # In one order everywhere, so that batches with common keys can't wait for each other in a circle. The
        # sort is stable: of those with one key, the first one given is stored.
        missing = sorted(new_jobs, key=_key)
        for _ in range(_TRIES):
            for chunk in chunks(missing):
                by_id = {new.job_id: new for new in chunk}
                for row in await self._session.fetch(load("submit"), **arrays.of_new_jobs(chunk)):
                    new = by_id[row["job_id"]]
                    stored[new.job_id] = _stored(new, row["created_at"])
                    owners[_key(new)] = _Owner(stored[new.job_id], new.fingerprint)
            # A statement of its own, for it sees what the one before had to wait for.
            owners |= await self._owners({_key(new) for new in missing} - owners.keys())
            missing = [new for new in missing if _key(new) not in owners]
            if not missing:
                return [_submission(new, stored.get(new.job_id), owners[_key(new)]) for new in new_jobs]
        raise Entangled("jobs under the same idempotency keys come and go while these are added")

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
        raise Entangled(f"jobs among {len(ids)} move faster than they can be locked")

    async def save(self, saved: Sequence[Job]) -> None:
        for start in range(0, len(saved), _ROWS_MAX):
            chunk = saved[start : start + _ROWS_MAX]
            await self._session.fetch(load("vacate"), job_id=[job.job_id for job in chunk])
            await self._session.fetch(load("save"), **arrays.of_jobs(chunk))

    async def delete(self, job_ids: Collection[JobId]) -> None:
        await self._session.fetch(load("delete"), job_id=sorted(set(job_ids)))

    async def complete(self, completions: Sequence[Completion]) -> set[LeaseId]:
        (answer,) = await self._session.fetch(load("complete"), **arrays.of_completions(completions))
        return set(answer["accepted"])

    async def release(self, job_ids: Collection[JobId]) -> set[str]:
        released = await self._session.fetch(load("release"), job_id=sorted(set(job_ids)))
        return {row["queue"] for row in released}

    async def downstream(self, job_ids: Collection[JobId]) -> list[Job]:
        reached = await self._session.fetch(load("downstream"), job_id=sorted(set(job_ids)))
        return [job for job in await self.lock([row["job_id"] for row in reached]) if not job.ended]

    async def _owners(self, keys: Collection[_Key]) -> dict[_Key, _Owner]:
        owners: dict[_Key, _Owner] = {}
        for tenant_id in {tenant_id for tenant_id, _ in keys}:
            wanted = sorted(key for of_tenant, key in keys if of_tenant == tenant_id)
            for row in await self._session.fetch(_BY_KEY, tenant_id=tenant_id, keys=wanted):
                owners[tenant_id, row["idempotency_key"]] = _Owner(rows.job(row), row["fingerprint"])
        return owners


def chunks(new_jobs: Sequence[NewJob]) -> Iterator[Sequence[NewJob]]:
    """In pieces that one statement each can carry."""
    chunk: list[NewJob] = []
    characters = 0
    for new in new_jobs:
        size = len(new.request.payload)
        if chunk and (len(chunk) == _ROWS_MAX or characters + size > _PAYLOAD_CHARACTERS_MAX):
            yield chunk
            chunk, characters = [], 0
        chunk.append(new)
        characters += size
    if chunk:
        yield chunk


def _key(new: NewJob) -> _Key:
    """What must be unique: the idempotency key, and the id for those that have none."""
    return new.tenant_id, new.request.idempotency_key or f"\x00{new.job_id}"


def _stored(new: NewJob, created_at: datetime) -> Job:
    # As it will be read: the trace is the job's, and not the request's as well.
    request = attrs.evolve(new.request, trace=None) if new.request.trace else new.request
    return Job.submitted(
        request,
        job_id=new.job_id,
        trace=new.trace,
        now=created_at,
        waits_for=new.waits_for,
        tenant_id=new.tenant_id,
    )


def _submission(new: NewJob, stored: Job | None, owner: _Owner) -> Submission:
    if stored is not None:
        return Submission(job=stored, created=True)
    return Submission(job=owner.job, created=False, same_request=owner.fingerprint == new.fingerprint)
