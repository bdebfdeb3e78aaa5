"""A queue: a name under which jobs wait; it can be paused, and keep its ended jobs for a time of its own."""

from datetime import datetime

from attrs import field, frozen

from schedora.domain.job_request import QUEUE_LENGTH_MAX
from schedora.domain.retention import QueueRetention
from schedora.domain.text import check_text


@frozen(kw_only=True)
class Queue:
    name: str
    paused_at: datetime | None = None
    retention: QueueRetention = field(factory=QueueRetention)

    def __attrs_post_init__(self) -> None:
        check_text("queue", self.name, length_max=QUEUE_LENGTH_MAX)

    @property
    def paused(self) -> bool:
        return self.paused_at is not None
