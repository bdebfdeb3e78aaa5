"""One transaction over the stores."""

import pytest

from tests.builders import a_new_job
from tests.contract.stores import Stores


async def test_clean_exit_commits_all_of_it(stores: Stores) -> None:
    new = a_new_job()
    async with stores.units.begin() as unit:
        await unit.jobs.add([new])
        assert await stores.job_reader.get(new.job_id) is None, "nobody sees it before"
    assert await stores.job_reader.get(new.job_id) is not None


async def test_exception_passes_and_leaves_nothing(stores: Stores) -> None:
    new = a_new_job()

    async def failing() -> None:
        async with stores.units.begin() as unit:
            await unit.jobs.add([new])
            raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        await failing()
    assert await stores.job_reader.get(new.job_id) is None


async def test_unit_sees_what_it_wrote(stores: Stores) -> None:
    new = a_new_job()
    async with stores.units.begin() as unit:
        [submission] = await unit.jobs.add([new])
        assert await unit.jobs.lock([new.job_id]) == [submission.job]
        canceled = submission.job.canceled(now=await unit.now(), reason="changed my mind")
        await unit.jobs.save([canceled])
        assert await unit.jobs.lock([new.job_id]) == [canceled]
        await unit.jobs.delete([new.job_id])
        assert await unit.jobs.lock([new.job_id]) == []
    assert await stores.job_reader.get(new.job_id) is None


async def test_time_stands_still_within_a_unit_and_goes_on_between(stores: Stores) -> None:
    async with stores.units.begin() as unit:
        first = await unit.now()
        assert await unit.now() == first
    assert first.utcoffset() is not None
    assert await stores.now() > first


async def test_unknown_kind_of_connection_is_a_type_error(stores: Stores) -> None:
    for connection in (object(), "postgresql://localhost", None):
        with pytest.raises(TypeError):
            async with stores.units.join(connection):
                raise AssertionError("joined what can't be joined")
