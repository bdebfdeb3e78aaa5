"""Whether the store is there."""

from tests.contract.stores import Stores


async def test_store_that_is_there_is_healthy(stores: Stores) -> None:
    await stores.health.check()
