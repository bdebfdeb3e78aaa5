"""What is left, where it can be read."""

import asyncpg
import pytest

from schedora.application.errors import StoreUnavailable
from schedora_torture.evidence import Unreadable, reading


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("gone"),
        ConnectionRefusedError("gone"),
        TimeoutError("gone"),
        asyncpg.PostgresError("gone"),
        asyncpg.InterfaceError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_database_that_is_away_makes_it_unreadable(error: Exception) -> None:
    told = f"so nothing is shown .{type(error).__name__}: gone"
    with pytest.raises(Unreadable, match=told), reading():
        raise error


def test_what_is_wrong_here_is_told_as_it_is() -> None:
    with pytest.raises(LookupError), reading():
        raise LookupError
