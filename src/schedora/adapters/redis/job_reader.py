"""Jobs as they are looked at; those that have succeeded, which no longer change, out of a cache where it has them.

DEAD and CANCELED jobs are not cached: they can be requeued, and deleted. What has succeeded can only be removed when it
was kept for long enough, and may then be shown for as long as ``LIFE`` from when somebody last looked it up before.

A look into the cache that finds nothing is a round trip for nothing (docs/decisions/0016), and most records are read once: by
whoever waited for the job. So it is looked into, and filled, only for what this process has read before.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta

from schedora.adapters.redis.cached_job import FORMAT, decode, encode
from schedora.adapters.redis.errors import RedisAway
from schedora.adapters.redis.link import RedisLink
from schedora.application.log import Logger
from schedora.application.ports.job_reader import JobFilter, JobPage, JobReader, StatusSummary
from schedora.domain.ids import JobId, JsonText
from schedora.domain.job import Job
from schedora.domain.job_state import JobState

LIFE = timedelta(minutes=1)
ENTRY_BYTES_MAX = 65_536
"""Redis keeps what makes things fast in memory: a few thousand large documents must not push that out."""
READ_MAX = 10_000
"""Of so many jobs it is known that they were read; the oldest are forgotten first."""

log = Logger("schedora.redis")


class RedisJobReader:
    def __init__(self, link: RedisLink, otherwise: JobReader) -> None:
        self._link = link
        self._otherwise = otherwise
        self._read: dict[JobId, None] = {}
        """Those that had succeeded."""
        self._told = False

    async def get(self, job_id: JobId) -> Job | None:
        read_before = job_id in self._read
        if read_before and (cached := await self._cached(job_id)) is not None:
            return cached
        job = await self._otherwise.get(job_id)
        if job is not None and job.status is JobState.SUCCESS:
            if read_before:
                await self._keep(job)
            else:
                self._remember(job_id)
        return job

    async def page(self, job_filter: JobFilter, *, limit: int, after: JobId | None) -> JobPage:
        return await self._otherwise.page(job_filter, limit=limit, after=after)

    async def ended(self, job_ids: Collection[JobId]) -> set[JobId]:
        return await self._otherwise.ended(job_ids)

    async def status_summaries(self, job_ids: Collection[JobId]) -> Mapping[JobId, StatusSummary]:
        return await self._otherwise.status_summaries(job_ids)

    async def upstream_results(self, job_id: JobId) -> Mapping[str, JsonText | None]:
        return await self._otherwise.upstream_results(job_id)

    def _key(self, job_id: JobId) -> str:
        return self._link.keys.job(job_id, FORMAT)

    def _remember(self, job_id: JobId) -> None:
        self._read[job_id] = None
        if len(self._read) > READ_MAX:
            del self._read[next(iter(self._read))]

    async def _cached(self, job_id: JobId) -> Job | None:
        try:
            # Not by GET, which a key of another type makes fail.
            [entry] = await self._link.call("MGET", self._key(job_id))
        except RedisAway:
            return None
        return None if entry is None else self._decoded(job_id, entry)

    def _decoded(self, job_id: JobId, entry: bytes) -> Job | None:
        """None for what nobody who knows this format can have written; the log is told of the first."""
        try:
            job = decode(entry)
            if job.job_id == job_id:
                return job
            reason = f"a job of another id, {job.job_id}"
        except ValueError as error:
            reason = str(error)
        if not self._told:
            self._told = True
            log.warning("the cache holds what does not belong there", key=self._key(job_id), reason=reason)
        return None

    async def _keep(self, job: Job) -> None:
        entry = encode(job)
        if len(entry) <= ENTRY_BYTES_MAX:
            with suppress(RedisAway):
                life_ms = LIFE // timedelta(milliseconds=1)
                await self._link.call("SET", self._key(job.job_id), entry, "PX", life_ms)
