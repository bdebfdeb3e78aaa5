"""A worker over the memory store."""

import pytest

from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import Engine


@pytest.fixture
async def engine(bench: Bench) -> Engine:
    return Engine(bench)
