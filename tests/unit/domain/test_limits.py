"""Token buckets: held against the definition, in rational numbers."""

from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from schedora.domain.errors import InvalidField
from schedora.domain.limits import (
    BUCKET_LENGTH_MAX,
    GRANTED,
    IMPOSSIBLE,
    MICROSECOND,
    REFILL_LIMIT,
    TAKES_MAX,
    TOKENS_MAX,
    Bucket,
    RateLimit,
    Refill,
    Take,
    TokenBatch,
    TokenRequest,
    decide,
)
from tests.builders import HOUR, NOON, SECOND

EXACT_IN_A_DOUBLE = 2**53
MINUTE = timedelta(minutes=1)


@st.composite
def _limits(draw: st.DrawFn) -> RateLimit:
    tokens = draw(st.one_of(st.integers(1, 1_000), st.integers(1, TOKENS_MAX)))
    per = draw(st.timedeltas(min_value=MICROSECOND, max_value=REFILL_LIMIT))
    in_time = REFILL_LIMIT // MICROSECOND * tokens // (per // MICROSECOND)
    assume(in_time)
    return RateLimit(tokens=tokens, per=per, burst=draw(st.integers(1, min(in_time, TOKENS_MAX))))


limits = _limits()
spans = st.one_of(
    st.timedeltas(timedelta(0), SECOND),
    st.timedeltas(timedelta(0), 2 * REFILL_LIMIT),
)
A_MINUTE_OF_SEVEN = RateLimit(tokens=7, per=MINUTE, burst=7)


def request(*takes: Take) -> TokenRequest:
    return TokenRequest(takes)


def take(limit: RateLimit, tokens: int = 1, bucket: str = "b") -> TokenRequest:
    return request(Take(bucket=bucket, limit=limit, tokens=tokens))


class DefinedBucket:
    """What a token bucket is: it holds ``burst``, and what comes in between is added as far as it fits."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self.tokens = Fraction(limit.burst)

    def wait(self, span: timedelta) -> None:
        came = Fraction(span // MICROSECOND * self.limit.tokens, self.limit.per // MICROSECOND)
        self.tokens = min(Fraction(self.limit.burst), self.tokens + came)

    def take(self, tokens: int) -> bool:
        if self.tokens < tokens:
            return False
        self.tokens -= tokens
        return True


@given(limits, st.lists(st.tuples(spans, st.integers(0, TOKENS_MAX)), max_size=30))
@example(A_MINUTE_OF_SEVEN, [(timedelta(0), 7), (MINUTE / 7, 1), (MINUTE / 7 + MICROSECOND, 1)])
def test_it_is_the_bucket_of_the_definition(limit: RateLimit, steps: list[tuple[timedelta, int]]) -> None:
    defined, buckets, now = DefinedBucket(limit), dict[str, Bucket](), NOON
    for span, number in steps:
        tokens = 1 + number % limit.burst
        now += span
        defined.wait(span)
        wait_us, changed = decide(take(limit, tokens), buckets, now)
        buckets |= changed
        assert (wait_us == 0) is defined.take(tokens)


@given(limits, st.lists(st.tuples(spans, st.integers(0, TOKENS_MAX)), min_size=1, max_size=10))
def test_a_refused_one_is_granted_after_its_wait_and_not_before(
    limit: RateLimit, steps: list[tuple[timedelta, int]]
) -> None:
    buckets, now = dict[str, Bucket](), NOON
    for span, number in steps:
        now += span
        wish = take(limit, 1 + number % limit.burst)
        wait_us, changed = decide(wish, buckets, now)
        buckets |= changed
        if wait_us:
            again = now + wait_us * MICROSECOND
            assert decide(wish, buckets, again - MICROSECOND)[0] == 1
            wait_us, changed = decide(wish, buckets, again)
            assert wait_us == 0
            now, buckets = again, buckets | changed


@given(limits, st.lists(spans, max_size=40))
def test_never_more_than_burst_and_what_came_in_any_span(limit: RateLimit, pauses: list[timedelta]) -> None:
    """From each grant on, not only from the first."""
    buckets, now = dict[str, Bucket](), NOON
    granted: list[datetime] = []
    for pause in pauses:
        now += pause
        wait_us, changed = decide(take(limit), buckets, now)
        buckets |= changed
        granted += [] if wait_us else [now]
    for first, since in enumerate(granted):
        for last in range(first, len(granted)):
            came = Fraction((granted[last] - since) // MICROSECOND * limit.tokens, limit.per // MICROSECOND)
            assert last - first + 1 <= limit.burst + came


@pytest.mark.parametrize("tokens", [1, 3, 7, 1_000, 999_983])
def test_refilling_does_not_drift(tokens: int) -> None:
    """One token at a time, taken as soon as it is there: none of ten thousand is late or early by a microsecond."""
    limit = RateLimit(tokens=tokens, per=SECOND, burst=2)
    _, buckets = decide(take(limit, 2), {}, NOON)
    for number in range(1, 10_001):
        due = NOON + -(-number * 1_000_000 // tokens) * MICROSECOND
        assert decide(take(limit), buckets, due - MICROSECOND)[0] == 1
        wait_us, changed = decide(take(limit), buckets, due)
        assert wait_us == 0
        buckets |= changed


@given(limits, st.integers(0, TOKENS_MAX), st.timedeltas(timedelta(0), 10 * REFILL_LIMIT))
def test_a_clock_set_back_costs_what_the_bucket_held_and_no_more(
    limit: RateLimit, number: int, back: timedelta
) -> None:
    tokens = 1 + number % limit.burst
    _, buckets = decide(take(limit, tokens), {}, NOON)
    wait_us, changed = decide(take(limit, limit.burst), buckets, NOON - back)
    buckets |= changed
    assert wait_us <= limit.capacity.us + 1
    if wait_us:
        assert decide(take(limit, limit.burst), buckets, NOON - back + wait_us * MICROSECOND)[0] == 0


@given(limits, limits, spans)
def test_a_changed_limit_is_in_force_at_once(old: RateLimit, new: RateLimit, pause: timedelta) -> None:
    _, buckets = decide(take(old, old.burst), {}, NOON)
    wait_us, changed = decide(take(new, new.burst), buckets, NOON + pause)
    buckets |= changed
    assert wait_us <= new.capacity.us + 1, "no longer than from an empty bucket"
    if wait_us:
        assert decide(take(new, new.burst), buckets, NOON + pause + wait_us * MICROSECOND)[0] == 0


@given(limits, st.integers(1, 2 * TOKENS_MAX))
def test_every_number_is_exact_in_a_double(limit: RateLimit, tokens: int) -> None:
    capacity = limit.capacity
    assert capacity.us <= REFILL_LIMIT // MICROSECOND < EXACT_IN_A_DOUBLE // 4
    assert 0 <= capacity.rest < limit.parts <= TOKENS_MAX
    cost = limit.refill(1 + tokens % limit.burst)
    assert Fraction(cost.us) + Fraction(cost.rest, limit.parts) == Fraction(
        (1 + tokens % limit.burst) * (limit.per // MICROSECOND), limit.tokens
    )


def test_a_third_of_a_second_is_one() -> None:
    limit = RateLimit(tokens=3, per=SECOND, burst=3)
    assert limit.refill(1) == Refill(333_333, 1)
    assert limit.refill(3) == limit.capacity == Refill(1_000_000, 0)
    assert decide(take(limit, 3), {}, NOON)[0] == 0


def test_limits_told_in_other_words_are_the_same() -> None:
    a = RateLimit(tokens=60, per=MINUTE, burst=5)
    b = RateLimit(tokens=1, per=SECOND, burst=5)
    assert (a.refill(7), a.capacity, a.parts) == (b.refill(7), b.capacity, b.parts)


def test_all_of_a_request_or_nothing() -> None:
    wide, narrow = RateLimit(tokens=1, per=SECOND, burst=10), RateLimit(tokens=1, per=MINUTE, burst=1)
    both = request(Take(bucket="wide", limit=wide, tokens=4), Take(bucket="narrow", limit=narrow))
    wait_us, buckets = decide(both, {}, NOON)
    assert wait_us == 0
    wait_us, changed = decide(both, buckets, NOON)
    assert wait_us * MICROSECOND == MINUTE, "the longest wait of all its buckets"
    assert changed == buckets
    assert decide(take(wide, 6, "wide"), buckets, NOON)[0] == 0


def test_of_what_is_refused_only_those_are_told_that_lack_something() -> None:
    thirds = RateLimit(tokens=3, per=timedelta(microseconds=1), burst=3)
    lacking = {"empty": Bucket(NOON + MICROSECOND), "part": Bucket(NOON, rest=1), "full": Bucket(NOON)}
    wish = request(*(Take(bucket=name, limit=thirds, tokens=3) for name in ("empty", "part", "full", "new")))
    wait_us, changed = decide(wish, lacking, NOON)
    assert (wait_us, changed) == (1, {"empty": lacking["empty"], "part": lacking["part"]})


def test_a_full_bucket_is_the_same_as_none() -> None:
    _, buckets = decide(take(A_MINUTE_OF_SEVEN, 3), {}, NOON)
    for number in (1, 7):
        wish = take(A_MINUTE_OF_SEVEN, number)
        assert decide(wish, buckets, NOON + MINUTE) == decide(wish, {}, NOON + MINUTE)


def test_a_rest_of_another_limit_counts_as_a_whole_microsecond() -> None:
    thirds, whole = RateLimit(tokens=3, per=SECOND, burst=3), RateLimit(tokens=1, per=SECOND, burst=3)
    bucket = Bucket(NOON, rest=2)
    assert bucket.lacks(thirds, NOON) == (0, 2)
    assert bucket.lacks(whole, NOON) == Bucket(NOON, rest=3).lacks(thirds, NOON) == (1, 0)


def test_what_is_more_than_a_bucket_holds_is_impossible_and_its_neighbours_are_not() -> None:
    limit = RateLimit(tokens=1, per=SECOND, burst=2)
    batch = TokenBatch((take(limit), take(limit, 3), request(), take(limit, 2, "a")))
    assert batch.possible == (batch.requests[0], batch.requests[2], batch.requests[3])
    assert batch.buckets == ["a", "b"]
    granted, impossible, empty, refused = batch.decisions([0, 0, 1_500_000])
    assert (granted, impossible, empty) == (GRANTED, IMPOSSIBLE, GRANTED)
    assert (refused.granted, refused.retry_after) == (False, timedelta(seconds=1.5))
    assert (GRANTED.retry_after, IMPOSSIBLE.retry_after) == (timedelta(0), None)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("tokens", 0, "tokens must be between 1 and 1000000000, not 0"),
        ("tokens", TOKENS_MAX + 1, "tokens must be between 1 and 1000000000, not 1000000001"),
        ("burst", 0, "burst must be between 1 and 1000000000, not 0"),
        ("burst", TOKENS_MAX + 1, "burst must be between 1 and 1000000000, not 1000000001"),
        ("per", timedelta(0), "per must be greater than 0 and at most 366 days, not '0:00:00'"),
        (
            "per",
            REFILL_LIMIT + MICROSECOND,
            "per must be greater than 0 and at most 366 days, not '366 days, 0:00:00.000001'",
        ),
        ("burst", 366 * 24 + 1, "burst must be no more than what comes in 366 days, not 8785"),
    ],
)
def test_a_limit_out_of_bounds_is_refused(name: str, value: object, message: str) -> None:
    given = {"tokens": 1, "per": HOUR, "burst": 1}
    with pytest.raises(InvalidField) as caught:
        RateLimit(**given | {name: value})  # type: ignore[arg-type] # wrong on purpose
    assert str(caught.value) == message


def test_a_limit_by_a_third_of_a_microsecond_too_wide_is_refused() -> None:
    burst = 1573
    per_us, rest = divmod(3 * (REFILL_LIMIT // MICROSECOND) + 1, burst)
    assert rest == 0
    with pytest.raises(InvalidField, match=r"^burst must be no more than what comes in 366 days"):
        RateLimit(tokens=3, per=per_us * MICROSECOND, burst=burst)


def test_the_widest_limits() -> None:
    assert RateLimit(tokens=1, per=HOUR, burst=366 * 24).capacity == (REFILL_LIMIT // MICROSECOND, 0)
    RateLimit(tokens=TOKENS_MAX, per=MICROSECOND, burst=TOKENS_MAX)
    RateLimit(tokens=1, per=REFILL_LIMIT, burst=1)


@pytest.mark.parametrize("name", ["", "a\x00b", "\ud800", "x" * (BUCKET_LENGTH_MAX + 1)])
def test_a_name_that_a_store_could_not_keep_makes_no_take(name: str) -> None:
    with pytest.raises(InvalidField, match=r"^bucket must be 1 to 500 characters"):
        Take(bucket=name, limit=A_MINUTE_OF_SEVEN)


@pytest.mark.parametrize("tokens", [0, -1, TOKENS_MAX + 1])
def test_nothing_less_than_a_token_is_taken(tokens: int) -> None:
    with pytest.raises(InvalidField, match=rf"^tokens must be between 1 and 1000000000, not {tokens}$"):
        Take(bucket="b", limit=A_MINUTE_OF_SEVEN, tokens=tokens)


def test_as_much_is_taken_as_there_can_be() -> None:
    limit = RateLimit(tokens=TOKENS_MAX, per=SECOND, burst=TOKENS_MAX)
    assert decide(take(limit, TOKENS_MAX), {}, NOON)[0] == 0


def test_a_request_names_a_bucket_once() -> None:
    with pytest.raises(InvalidField, match=r"^bucket must be in a request once, not \['b', 'b'\]$"):
        request(Take(bucket="b", limit=A_MINUTE_OF_SEVEN), Take(bucket="b", limit=A_MINUTE_OF_SEVEN))


def test_a_batch_has_an_end() -> None:
    one = take(A_MINUTE_OF_SEVEN)
    TokenBatch((one,) * TAKES_MAX)
    with pytest.raises(InvalidField, match=r"^requests must be at most 1000 takes, not '1001 takes'"):
        TokenBatch((one,) * (TAKES_MAX + 1))
