"""A pooler before the server."""

from urllib.parse import urlsplit

from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import Connection, codes, examined, the_one, worse_than_ok
from tests.postgres.pooler import Pooler


async def test_a_pooler_that_was_not_told_of(url: str) -> None:
    async with Pooler(url).running() as pooled_url:
        await the_one(pooled_url, "pooler_unsaid")


async def test_a_pooler_that_refuses_who_does_not_know_of_it(url: str) -> None:
    async with Pooler(url, strict=True).running() as pooled_url:
        [finding] = worse_than_ok(await examined(pooled_url))
        assert (finding.code, finding.severity) == ("pooler_unsaid", Severity.CRITICAL)
        assert "unsupported startup parameter" in finding.found
        assert await codes(f"{pooled_url}?pgbouncer=true") == []


async def test_a_pooler_that_was_told_of(url: str, admin: Connection) -> None:
    async with Pooler(url).running() as pooled_url:
        assert await codes(f"{pooled_url}?pgbouncer=true") == []
        name = urlsplit(url).path.strip("/")
        admin.execute(f"alter database {name} set statement_timeout = '1s'".encode())
    async with Pooler(url).running() as pooled_url:  # past which come limits of Schedora's own all the same
        assert await codes(f"{pooled_url}?pgbouncer=true") == []


async def test_a_pooler_in_session_mode(url: str) -> None:
    async with Pooler(url, shared=False).running() as pooled_url:
        assert await codes(pooled_url) == []


async def test_a_pooler_that_is_not_there(url: str) -> None:
    await the_one(f"{url}&pgbouncer=true", "pooler_needless", Severity.WARNING)


async def test_a_pooler_that_tells_another_version(url: str) -> None:
    async with Pooler(url, version="15.1").running() as pooled_url:
        await the_one(f"{pooled_url}?pgbouncer=true", "server_version_mixed", Severity.WARNING)
