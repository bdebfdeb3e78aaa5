"""How long records are kept."""

from datetime import timedelta

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.job_state import JobState
from schedora.domain.retention import RETENTION_MAX, RETENTION_MIN, QueueRetention, Retention
from tests.builders import HOUR, NOON

EVERYWHERE = Retention(success=HOUR, canceled=2 * HOUR, dead=3 * HOUR)
INSTANT = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("status", "span"),
    [(JobState.SUCCESS, HOUR), (JobState.CANCELED, 2 * HOUR), (JobState.DEAD, 3 * HOUR)],
)
def test_an_ended_job_is_kept_for_the_time_of_its_ending(status: JobState, span: timedelta) -> None:
    assert not EVERYWHERE.expired(status, NOON, NOON + span)
    assert EVERYWHERE.expired(status, NOON, NOON + span + INSTANT)


def test_a_queue_has_its_own_where_it_says_so() -> None:
    assert QueueRetention().over(EVERYWHERE) == EVERYWHERE
    own = QueueRetention(success=RETENTION_MIN, dead=RETENTION_MAX)
    assert own.over(EVERYWHERE) == Retention(success=RETENTION_MIN, canceled=2 * HOUR, dead=RETENTION_MAX)
    assert QueueRetention(canceled=HOUR).over(EVERYWHERE).canceled == HOUR


@pytest.mark.parametrize("name", ["success", "canceled", "dead"])
@pytest.mark.parametrize("span", [RETENTION_MIN - INSTANT, RETENTION_MAX + INSTANT, timedelta(0)])
def test_spans_out_of_bounds_are_refused(name: str, span: timedelta) -> None:
    with pytest.raises(InvalidField) as caught:
        QueueRetention(**{name: span})
    assert (caught.value.field, caught.value.value) == (name, span.total_seconds())
    assert caught.value.allowed == "60 to 3153600000 seconds"
