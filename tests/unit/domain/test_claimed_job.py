"""A job as its holder sees it."""

import pytest

from tests.builders import a_claimed_job


@pytest.mark.parametrize("attempt", [0, 1, 7])
def test_present_attempt_comes_after_those_used_up(attempt: int) -> None:
    assert a_claimed_job(attempt=attempt).current_attempt == attempt + 1
