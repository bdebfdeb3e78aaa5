"""A worker over the memory store."""

import pytest

from tests.unit.application.bench import Bench
from tests.unit.application.pipeline.engine import Engine
from tests.unit.application.pipeline.recorded import RecordedWakeup


@pytest.fixture
async def engine(bench: Bench) -> Engine:
    return Engine(bench)


@pytest.fixture
def wakeup(engine: Engine) -> RecordedWakeup:
    """In place of the memory store's."""
    engine.wakeup = wakeup = RecordedWakeup()
    return wakeup
