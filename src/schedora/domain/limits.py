"""Rate limits by token buckets: what may be taken, and how long it would be until it may.

A bucket holds at most ``burst`` tokens, and ``tokens`` come in each span. It is kept as the instant at which it will be
full (the virtual scheduling algorithm of ITU-T I.371, known as GCRA): a taking moves that instant away by the time in
which its tokens come, and is refused where it would move it further than an empty bucket's. So nothing is ever refilled,
and there is nothing to drift; a full bucket is the same as none.

Spans are whole microseconds and a rest, so that a third of a second is one: nothing is rounded, and nothing overflows
the integers of any store, those of a double included.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from math import gcd
from typing import NamedTuple

from attrs import field, frozen

from schedora.domain.errors import InvalidField
from schedora.domain.text import check_text

MICROSECOND = timedelta(microseconds=1)
TOKENS_MAX = 1_000_000_000
REFILL_LIMIT = timedelta(days=366)
BUCKET_LENGTH_MAX = 500
TAKES_MAX = 1_000
"""In one batch: a store that limits rates does nothing else meanwhile."""


class Refill(NamedTuple):
    """How long tokens take to come: so many microseconds and ``rest`` of the ``parts`` of one that its limit has."""

    us: int
    rest: int


@frozen(kw_only=True, slots=False)
class RateLimit:
    """``tokens`` in each span ``per``, and as many as ``burst`` at once. Raises ``InvalidField``."""

    tokens: int
    per: timedelta
    burst: int

    def __attrs_post_init__(self) -> None:
        for name in ("tokens", "burst"):
            if not 1 <= getattr(self, name) <= TOKENS_MAX:
                raise InvalidField(name, getattr(self, name), f"between 1 and {TOKENS_MAX}")
        longest = f"{REFILL_LIMIT.days} days"
        if not timedelta(0) < self.per <= REFILL_LIMIT:
            raise InvalidField("per", str(self.per), f"greater than 0 and at most {longest}")
        if self.capacity > (REFILL_LIMIT // MICROSECOND, 0):
            raise InvalidField("burst", self.burst, f"no more than what comes in {longest}")

    @property
    def parts(self) -> int:
        """Into how many a microsecond is divided, so that each token comes after a whole number of them."""
        return self._interval[1]

    @cached_property
    def capacity(self) -> Refill:
        """From an empty bucket to a full one."""
        return self.refill(self.burst)

    def refill(self, tokens: int) -> Refill:
        """How long so many tokens take to come, exactly."""
        us, parts = self._interval
        return Refill(*divmod(tokens * us, parts))

    @cached_property
    def _interval(self) -> tuple[int, int]:
        """From one token to the next, as a fraction of microseconds in its lowest terms."""
        per_us = self.per // MICROSECOND
        common = gcd(per_us, self.tokens)
        return per_us // common, self.tokens // common


def _check_bucket(_take: object, _attribute: object, name: str) -> None:
    check_text("bucket", name, length_max=BUCKET_LENGTH_MAX)


def _check_tokens(_take: object, _attribute: object, count: int) -> None:
    if not 1 <= count <= TOKENS_MAX:
        raise InvalidField("tokens", count, f"between 1 and {TOKENS_MAX}")


@frozen(kw_only=True)
class Take:
    """Tokens out of the bucket of this name, under the limit that it has now. Raises ``InvalidField``.

    Whoever limits the same thing names the same bucket and should mean the same limit. Where a limit is changed, what
    its bucket lacks stays the same span of time, as far as the new limit goes.
    """

    bucket: str = field(validator=_check_bucket)
    limit: RateLimit
    tokens: int = field(default=1, validator=_check_tokens)


def _check_takes(_request: object, _attribute: object, takes: tuple[Take, ...]) -> None:
    buckets = [take.bucket for take in takes]
    if len(set(buckets)) != len(buckets):
        raise InvalidField("bucket", buckets, "in a request once")


@frozen
class TokenRequest:
    """Of several buckets all that is asked for, or nothing of any. Raises ``InvalidField`` for a bucket named twice."""

    takes: tuple[Take, ...] = field(validator=_check_takes)

    @property
    def possible(self) -> bool:
        """Whether full buckets have enough."""
        return all(take.tokens <= take.limit.burst for take in self.takes)


@frozen(kw_only=True)
class Decision:
    """``retry_after``: when it would be granted if nobody took anything meanwhile; zero where it was. None: never,
    since one of the buckets can't hold so much.
    """

    granted: bool
    retry_after: timedelta | None


GRANTED = Decision(granted=True, retry_after=timedelta(0))
IMPOSSIBLE = Decision(granted=False, retry_after=None)


def _check_size(_batch: object, _attribute: object, requests: tuple[TokenRequest, ...]) -> None:
    count = sum(len(request.takes) for request in requests)
    if count > TAKES_MAX:
        raise InvalidField("requests", f"{count} takes", f"at most {TAKES_MAX} takes")


@frozen
class TokenBatch:
    """Requests that are decided one after the other. Raises ``InvalidField`` for too many."""

    requests: tuple[TokenRequest, ...] = field(validator=_check_size)

    @property
    def possible(self) -> tuple[TokenRequest, ...]:
        """Those that depend on what is in the buckets."""
        return tuple(request for request in self.requests if request.possible)

    @property
    def buckets(self) -> list[str]:
        """The names of all buckets that those take from, each once, in order."""
        return sorted({take.bucket for request in self.possible for take in request.takes})

    def decisions(self, waits_us: Sequence[int]) -> list[Decision]:
        """For each request, given how long each of those possible would have to wait: 0 where it was granted."""
        waits = iter(waits_us)
        return [_decision(next(waits)) if request.possible else IMPOSSIBLE for request in self.requests]


def _decision(wait_us: int) -> Decision:
    return Decision(granted=False, retry_after=wait_us * MICROSECOND) if wait_us else GRANTED


@frozen
class Bucket:
    """Full at this instant and ``rest`` parts of a microsecond, and lacking what comes until then."""

    full_at: datetime
    rest: int = 0

    def lacks(self, limit: RateLimit, now: datetime) -> Refill:
        """How long it takes until it is full: never longer than from empty, though a clock was set back or the limit
        was another.
        """
        lack = Refill((self.full_at - now) // MICROSECOND, self.rest)
        if lack.rest >= limit.parts:  # those of another limit
            lack = Refill(lack.us + 1, 0)
        return min(max(lack, Refill(0, 0)), limit.capacity)


def decide(
    request: TokenRequest, buckets: Mapping[str, Bucket], now: datetime
) -> tuple[int, dict[str, Bucket]]:
    """How many microseconds a possible request would have to wait, 0 if it is granted, and those of its buckets
    that are not full then, as they are. One that is not among ``buckets`` is full.
    """
    full = Bucket(now)
    refused, granted = {}, {}
    wait_us = 0
    for take in request.takes:
        limit = take.limit
        lack = buckets.get(take.bucket, full).lacks(limit, now)
        cost = limit.refill(take.tokens)
        carried, rest = divmod(lack.rest + cost.rest, limit.parts)
        wish = Refill(lack.us + cost.us + carried, rest)
        if wish > limit.capacity:
            over_us = wish.us - limit.capacity.us + (wish.rest > limit.capacity.rest)
            wait_us = max(wait_us, over_us)
        if lack > (0, 0):
            refused[take.bucket] = Bucket(now + lack.us * MICROSECOND, lack.rest)
        granted[take.bucket] = Bucket(now + wish.us * MICROSECOND, wish.rest)
    return wait_us, refused if wait_us else granted
