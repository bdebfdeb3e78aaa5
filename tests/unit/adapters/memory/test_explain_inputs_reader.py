"""What is known of a job, where time has to pass."""

from schedora.adapters.memory.store import MemoryStore
from schedora.adapters.memory.virtual_clock import VirtualClock
from schedora.adapters.system.randomness import SeededRandomness
from schedora.domain.process import FRESH_FOR
from tests.builders import SECOND
from tests.contract.memory import memory_stores
from tests.contract.test_explain_inputs_reader import rate_for, report


async def test_an_old_report_tells_no_rate() -> None:
    clock = VirtualClock()
    stores = memory_stores(MemoryStore(clock=clock, randomness=SeededRandomness(1, clock)))
    await stores.worker(hostname="a", pid=1)
    job = await stores.submit_one()
    await report(stores, 1, "a", 1, 7)
    clock.advance(FRESH_FOR)
    assert await rate_for(stores, job.job_id) == 7
    clock.advance(SECOND)
    assert await rate_for(stores, job.job_id) is None
