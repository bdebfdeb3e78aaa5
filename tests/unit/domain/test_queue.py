"""A queue."""

import pytest

from schedora.domain.errors import InvalidField
from schedora.domain.queue import Queue
from tests.builders import NOON


def test_paused_since_an_instant_or_not_at_all() -> None:
    assert not Queue(name="q").paused
    assert Queue(name="q", paused_at=NOON).paused


@pytest.mark.parametrize("name", ["", "x" * 201, "\x00"])
def test_name_keeps_the_rule_of_names(name: str) -> None:
    with pytest.raises(InvalidField, match=r"^queue must be"):
        Queue(name=name)
