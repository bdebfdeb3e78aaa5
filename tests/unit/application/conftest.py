"""The use cases over the memory store."""

import pytest

from tests.unit.application.bench import Bench, a_bench


@pytest.fixture
def bench() -> Bench:
    return a_bench()
