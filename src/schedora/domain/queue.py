"""A queue: a name under which jobs wait, and that can be paused."""

from datetime import datetime

from attrs import frozen

from schedora.domain.job_request import QUEUE_LENGTH_MAX
from schedora.domain.text import check_text


@frozen(kw_only=True)
class Queue:
    name: str
    paused_at: datetime | None = None

    def __attrs_post_init__(self) -> None:
        check_text("queue", self.name, length_max=QUEUE_LENGTH_MAX)

    @property
    def paused(self) -> bool:
        return self.paused_at is not None
