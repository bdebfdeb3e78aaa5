"""What repeats itself is told some times, and counted then."""

from schedora.application.telemetry.repetition import Repeated, Repetition


def a_repetition(**limits: int) -> Repetition[str, int]:
    return Repetition(**{"told_max": 2, "span_seconds": 10, "kinds_max": 3} | limits)


def admitted(repetition: Repetition[str, int], kind: str, *values: int, now: float = 0) -> list[int]:
    return [value for value in values if repetition.admits(kind, value, now)]


def test_the_first_of_a_kind_are_told_and_the_rest_counted() -> None:
    repetition = a_repetition()
    assert admitted(repetition, "a", 1, 2, 3, 4) == [1, 2]
    assert admitted(repetition, "b", 5) == [5]
    assert repetition.holds_until() == 10
    assert repetition.take_over(9.9) == []
    assert repetition.take_over(10) == [Repeated(4, 2)]
    assert repetition.take_over() == []
    assert repetition.holds_until() is None


def test_as_many_are_told_as_is_allowed() -> None:
    repetition = a_repetition(told_max=4)
    assert admitted(repetition, "a", 1, 2, 3, 4, 5) == [1, 2, 3, 4]


def test_a_span_begins_with_the_first() -> None:
    repetition = a_repetition()
    assert admitted(repetition, "a", 1, 2, 3, now=5) == [1, 2]
    assert admitted(repetition, "a", 4, now=14.9) == []
    assert admitted(repetition, "a", 5, 6, 7, now=15) == [5, 6]
    assert repetition.take_over(15) == [Repeated(4, 2)]
    assert repetition.holds_until() == 25


def test_all_of_it_at_the_end() -> None:
    repetition = a_repetition()
    admitted(repetition, "a", 1, 2, 3)
    admitted(repetition, "b", 4, 5, 6, now=1)
    assert repetition.take_over() == [Repeated(3, 1), Repeated(6, 1)]


def test_what_was_not_held_back_is_not_told_again() -> None:
    repetition = a_repetition()
    admitted(repetition, "a", 1, 2)
    assert repetition.holds_until() is None
    assert repetition.take_over() == []


def test_kinds_are_bounded_and_none_is_forgotten_without_being_told() -> None:
    repetition = a_repetition()
    admitted(repetition, "a", 1, 2, 3)
    for kind in "bcd":
        assert admitted(repetition, kind, 4) == [4]
    assert repetition.take_over(0) == [Repeated(3, 1)]
    assert admitted(repetition, "a", 5) == [5]
