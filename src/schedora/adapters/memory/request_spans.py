"""Requests that submitted jobs, kept so that their spans can be looked at."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import islice

from schedora.adapters.memory.faults import Faults, fallible
from schedora.adapters.memory.store import MemoryStore
from schedora.application.ports.request_spans import Asked
from schedora.application.telemetry.request_span import ServedRequest


class MemoryRequestSpans:
    def __init__(self, store: MemoryStore) -> None:
        self.faults: Faults = store.faults
        self._store = store

    @fallible
    async def keep(self, served: Sequence[ServedRequest]) -> None:
        async with self._store.transaction() as tables:
            now = self._store.clock.now()
            for one in served:
                tables.requests[one.trace.span_id] = (now, one)

    @fallible
    async def find(self, asked: Collection[Asked]) -> list[ServedRequest]:
        with self._store.committed() as tables:
            span_ids = dict.fromkeys(one.span_id for one in asked)
            return [tables.requests[span_id][1] for span_id in span_ids if span_id in tables.requests]

    @fallible
    async def prune(self, kept_for: timedelta, *, spans_max: int, limit: int) -> int:
        async with self._store.transaction() as tables:
            before = self._store.clock.now() - kept_for
            excess = len(tables.requests) - spans_max
            oldest = list(islice(tables.requests.items(), limit))
            expired = [
                span_id for place, (span_id, (at, _)) in enumerate(oldest) if at < before or place < excess
            ]
            for span_id in expired:
                del tables.requests[span_id]
            return len(expired)
