"""The first handler."""

from examples.hello import app, hello

from schedora.testing import in_memory


async def test_somebody_is_greeted() -> None:
    async with in_memory(app) as sched:
        job = await hello.submit(name="Ada")
        await sched.run_until_idle()
        assert (await app.get_job(job)).value() == "Hello, Ada!"
