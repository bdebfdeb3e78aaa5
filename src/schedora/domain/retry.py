"""Whether to try again, and when.

With ``n`` retries already made (0 for the first retry):

- ``fixed``: ``base``
- ``exponential``: ``base * 2**n``
- ``jitter``: ``exponential`` plus a random offset in ``[0, exponential / 2)``

and never more than ``max_delay``. Whole microseconds throughout, so nothing is rounded and nothing overflows.
"""

from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from attrs import Attribute, field, frozen

from schedora.domain.errors import InvalidField

MICROSECOND = timedelta(microseconds=1)
DELAY_LIMIT = timedelta(days=366)
RETRIES_LIMIT = 100


class RetryKind(StrEnum):
    FIXED = "fixed"
    EXPONENTIAL = "exponential"
    JITTER = "jitter"


_FIELDS = {"base": "retry_base_seconds", "max_delay": "retry_max_seconds"}


def _check_delay(_policy: object, attribute: "Attribute[timedelta]", value: timedelta) -> None:
    if not timedelta(0) <= value <= DELAY_LIMIT:
        allowed = f"between 0 and {int(DELAY_LIMIT.total_seconds())} seconds"
        raise InvalidField(_FIELDS[attribute.name], value.total_seconds(), allowed)


def _check_retries(_policy: object, _attribute: object, value: int) -> None:
    if not 0 <= value <= RETRIES_LIMIT:
        raise InvalidField("max_retries", value, f"between 0 and {RETRIES_LIMIT}")


@frozen(kw_only=True)
class RetryPolicy:
    """How often and after which delays a failed attempt is tried again. Raises ``InvalidField``."""

    kind: RetryKind = RetryKind.EXPONENTIAL
    max_retries: int = field(default=3, validator=_check_retries)
    base: timedelta = field(default=timedelta(seconds=60), validator=_check_delay)
    max_delay: timedelta = field(default=timedelta(seconds=3600), validator=_check_delay)

    def retries_left(self, retries_made: int) -> bool:
        return retries_made < self.max_retries

    def delay(self, retries_made: int, unit_random: float) -> timedelta:
        """The wait before the next retry. ``unit_random`` in [0, 1) places the jitter.

        Raises ``ValueError`` when an argument is out of range.
        """
        if retries_made < 0:
            raise ValueError(f"retries_made can't be negative: {retries_made}")
        if not 0 <= unit_random < 1:
            raise ValueError(f"unit_random must lie in [0, 1), not {unit_random}")
        match self.kind:
            case RetryKind.FIXED:
                return min(self.base, self.max_delay)
            case RetryKind.EXPONENTIAL:
                return self._exponential(retries_made)
            case RetryKind.JITTER:
                exponential_us = self._exponential(retries_made) // MICROSECOND
                # A double tells all microseconds within the limit apart, so the product stays below the end.
                offset_us = int(unit_random * exponential_us / 2)
                return min(timedelta(microseconds=exponential_us + offset_us), self.max_delay)
            case _:
                assert_never(self.kind)

    def _exponential(self, retries_made: int) -> timedelta:
        base_us, max_us = self.base // MICROSECOND, self.max_delay // MICROSECOND
        # A shift by more bits than the limit has would pass it anyway: no need to build the number. That of 0 stays 0.
        if base_us and retries_made >= max_us.bit_length():
            return self.max_delay
        return timedelta(microseconds=min(base_us << retries_made, max_us))
