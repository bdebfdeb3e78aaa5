"""What a handler raises to say how its run is to end."""

from datetime import timedelta
from typing import Any

import pytest

from schedora.application.directives import Directive, Discard, Retry, Snooze, as_delay
from schedora.domain.errors import InvalidField

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("span", [60, 60.0, MINUTE])
def test_spans_are_seconds_or_timedeltas(span: float | timedelta) -> None:
    assert Retry(after=span).after == MINUTE
    assert Snooze(span).delay == MINUTE


def test_nothing_need_be_said() -> None:
    assert (Retry().after, str(Retry())) == (None, "the handler asked for a retry")
    assert str(Discard()) == "the handler discarded the job"
    assert (Snooze(60).reason, str(Snooze(60))) == (None, "snoozed for 0:01:00")


def test_reasons_are_kept() -> None:
    directives: list[Directive] = [Retry("busy"), Discard("broken"), Snooze(1, "later")]
    assert [str(directive) for directive in directives] == ["busy", "broken", "later"]
    assert [getattr(directive, "reason", None) for directive in directives] == ["busy", "broken", "later"]


@pytest.mark.parametrize("value", [-1, -0.001, timedelta(microseconds=-1)])
def test_negative_span_is_refused(value: Any) -> None:
    for make, field in ((lambda: Retry(after=value), "after"), (lambda: Snooze(value), "delay")):
        with pytest.raises(InvalidField, match=f"{field} must be 0 or more"):
            make()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300, 10**400, "60", None])
def test_what_is_no_span_is_refused(value: Any) -> None:
    with pytest.raises(InvalidField, match="delay must be a number of seconds or a timedelta"):
        Snooze(value)


def test_zero_and_the_longest_span_are_taken() -> None:
    assert as_delay("delay", 0) == timedelta(0)
    assert as_delay("delay", timedelta.max) == timedelta.max
