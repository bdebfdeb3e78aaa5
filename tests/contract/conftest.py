"""Each adapter in turn."""

import pytest

from tests.contract.memory import a_memory_store, memory_stores
from tests.contract.stores import Stores


@pytest.fixture(params=["memory"])
async def stores(request: pytest.FixtureRequest) -> Stores:
    """An empty store behind every port."""
    return memory_stores(a_memory_store())
