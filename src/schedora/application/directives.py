"""What a handler raises to say how its run is to end."""

from datetime import timedelta

from schedora.domain.errors import InvalidField


class Directive(Exception):
    """Raised by a handler; not an accident."""


class Retry(Directive):
    """This attempt failed; try again after ``after`` (seconds or a timedelta), or as the policy says.

    Uses up an attempt: with no retries left the job is DEAD.
    """

    def __init__(
        self, reason: str = "the handler asked for a retry", *, after: float | timedelta | None = None
    ) -> None:
        self.reason = reason
        self.after = None if after is None else as_delay("after", after)
        super().__init__(reason)


class Discard(Directive):
    """Retrying is useless: DEAD at once."""

    def __init__(self, reason: str = "the handler discarded the job") -> None:
        self.reason = reason
        super().__init__(reason)


class Snooze(Directive):
    """Not now: run again after ``delay`` (seconds or a timedelta). No attempt is used up."""

    def __init__(self, delay: float | timedelta, reason: str | None = None) -> None:
        self.delay = as_delay("delay", delay)
        self.reason = reason
        super().__init__(reason or f"snoozed for {self.delay}")


def as_delay(field: str, value: float | timedelta) -> timedelta:
    """``value`` as a span, not negative. Raises ``InvalidField``."""
    if isinstance(value, timedelta):
        span = value
    else:
        try:
            span = timedelta(seconds=value)
        except (OverflowError, ValueError, TypeError):
            raise InvalidField(field, value, "a number of seconds or a timedelta") from None
    if span < timedelta(0):
        raise InvalidField(field, value, "0 or more")
    return span
