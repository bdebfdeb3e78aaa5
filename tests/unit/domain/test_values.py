"""Values that are quick to make are values all the same."""

import attrs
import pytest

from schedora.domain.values import frozen


@frozen(kw_only=True)
class Point:
    x: int
    y: int = 0


def test_values_are_equal_by_what_they_hold() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    assert attrs.evolve(Point(x=1), y=3) == Point(x=1, y=3)


def test_value_holds_its_fields_and_nothing_else() -> None:
    with pytest.raises(AttributeError):
        Point(x=1).z = 1  # type: ignore[attr-defined] # that is the point
    with pytest.raises(TypeError):
        Point(1)  # type: ignore[call-arg] # by name only
