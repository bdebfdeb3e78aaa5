"""The bootstrap interval of a mean."""

from examples.flights.interval import Day, interval_of_mean


def days(*minutes: int) -> list[Day]:
    return [Day(minutes=number, departed=1) for number in minutes]


def test_days_that_are_all_alike_leave_no_doubt() -> None:
    interval = interval_of_mean([Day(minutes=120, departed=10)] * 30, seed="a", resamples=50)
    assert (interval.low_minutes, interval.high_minutes) == (12.0, 12.0)


def test_the_interval_surrounds_the_mean_and_narrows_with_more_days() -> None:
    few = interval_of_mean(days(0, 20) * 8, seed="a", resamples=2000)
    many = interval_of_mean(days(0, 20) * 80, seed="a", resamples=2000)
    assert few.low_minutes < many.low_minutes < 10 < many.high_minutes < few.high_minutes


def test_the_interval_is_that_of_the_textbook() -> None:
    """Ten minutes standard deviation over 100 days: 10 ± 1.96 · 10 / √100."""
    interval = interval_of_mean(days(0, 20) * 50, seed="a", resamples=20_000)
    assert abs(interval.low_minutes - 8.04) < 0.15
    assert abs(interval.high_minutes - 11.96) < 0.15


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    first, again, other = (
        interval_of_mean(days(*range(0, 290, 10)), seed=seed, resamples=200) for seed in ("a", "a", "b")
    )
    assert first == again
    assert first != other


def test_a_day_weighs_as_much_as_it_has_flights() -> None:
    busy_and_quiet = [Day(minutes=0, departed=999), Day(minutes=1000, departed=1)]
    interval = interval_of_mean(busy_and_quiet, seed="a", resamples=1000)
    assert interval.low_minutes == 0.0
    assert interval.high_minutes == 1000.0, "when only the quiet day was drawn"
