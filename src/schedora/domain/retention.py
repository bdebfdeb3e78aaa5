"""How long the records of jobs are kept once they have ended."""

from datetime import datetime, timedelta

from attrs import fields_dict, frozen

from schedora.domain.errors import InvalidField
from schedora.domain.job_state import JobState

RETENTION_MIN = timedelta(minutes=1)
"""Whoever waits for a job must get to see its end."""
RETENTION_MAX = timedelta(days=36_500)
"""As good as for ever."""


@frozen(kw_only=True)
class Retention:
    """Spans from the end of a job on, by the state that it ended in."""

    success: timedelta
    canceled: timedelta
    dead: timedelta

    def expired(self, status: JobState, completed_at: datetime, now: datetime) -> bool:
        """Whether a job that ended so, then, has been kept for long enough."""
        spans = {
            JobState.SUCCESS: self.success,
            JobState.CANCELED: self.canceled,
            JobState.DEAD: self.dead,
        }
        return now - completed_at > spans[status]


@frozen(kw_only=True)
class QueueRetention:
    """What one queue has of its own; None: as everywhere. Raises ``InvalidField``."""

    success: timedelta | None = None
    canceled: timedelta | None = None
    dead: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        for name in fields_dict(QueueRetention):
            span = getattr(self, name)
            if span is not None and not RETENTION_MIN <= span <= RETENTION_MAX:
                low, high = RETENTION_MIN.total_seconds(), RETENTION_MAX.total_seconds()
                raise InvalidField(name, span.total_seconds(), f"{low:.0f} to {high:.0f} seconds")

    def over(self, everywhere: Retention) -> Retention:
        """What is in force in this queue."""
        return Retention(
            success=everywhere.success if self.success is None else self.success,
            canceled=everywhere.canceled if self.canceled is None else self.canceled,
            dead=everywhere.dead if self.dead is None else self.dead,
        )
