"""Where in each lane the next claim starts to look. A hint: forgetting it costs time, never a job."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from schedora.adapters.postgres.session import Row


class Lane(NamedTuple):
    tenant_id: int
    queue: str
    priority: int
    type: str


class Place(NamedTuple):
    scheduled_at: datetime
    job_id: UUID


class ClaimCursor:
    """The last place claimed in each lane."""

    def __init__(self) -> None:
        self._places: dict[Lane, Place] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def forget(self) -> None:
        self._places.clear()

    def follow(self, claimed: Sequence[Row]) -> None:
        """The rows of a claim, in the order in which they come."""
        for row in claimed:
            lane = Lane(row["tenant_id"], row["queue"], row["priority"], row["type"])
            self._places[lane] = Place(row["scheduled_at"], row["job_id"])

    def parameters(self) -> dict[str, list[Any]]:
        """Those of ``claim.sql`` whose names begin with ``after_``."""
        return {
            "after_tenant_id": [lane.tenant_id for lane in self._places],
            "after_queue": [lane.queue for lane in self._places],
            "after_priority": [lane.priority for lane in self._places],
            "after_type": [lane.type for lane in self._places],
            "after_at": [place.scheduled_at for place in self._places.values()],
            "after_id": [place.job_id for place in self._places.values()],
        }
