"""How sure a month's mean delay is: a bootstrap over its days.

Flights of the same day share its weather and its queues, so that their delays are far from independent.
Whole days are drawn, with replacement, and the mean is taken anew each time; the middle 95 % of those means
is the interval. The draws come from a generator seeded by name: the same series always gives the same
interval, on whichever machine and in whichever attempt.
"""

from collections.abc import Sequence
from random import Random

from attrs import frozen
from examples.flights.figures import Interval


@frozen(kw_only=True)
class Day:
    """One day of a series: the flights that departed and their minutes of delay in all."""

    minutes: int
    departed: int


def interval_of_mean(days: Sequence[Day], *, seed: str, resamples: int) -> Interval:
    """Return the 95 % interval of the mean delay over the days.

    `days` must not be empty and each must have a departure.
    """
    random = Random(seed)
    minutes = [day.minutes for day in days]
    departed = [day.departed for day in days]
    positions = range(len(days))
    means = []
    for _ in range(resamples):
        drawn = random.choices(positions, k=len(days))
        means.append(sum([minutes[i] for i in drawn]) / sum([departed[i] for i in drawn]))
    means.sort()
    return Interval(
        low_minutes=round(means[int(resamples * 0.025)], 2),
        high_minutes=round(means[int(resamples * 0.975)], 2),
    )
