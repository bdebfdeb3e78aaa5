"""Settings of the server that break a promise or cut sessions short."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from schedora.adapters.postgres.embedded import start_embedded
from schedora.adapters.postgres.upgrade import migrate
from schedora.diagnosis.doctor.finding import Severity
from tests.postgres.checks.looking import Connection, checked, codes, examined, reloaded, the_one


@pytest.mark.parametrize(
    ("setting", "value", "code", "severity"),
    [
        ("full_page_writes", "off", "full_page_writes_off", Severity.WARNING),
        ("synchronous_commit", "off", "commits_not_durable", Severity.CRITICAL),
        ("synchronous_standby_names", "nobody", "commits_wait", Severity.CRITICAL),
        ("autovacuum", "off", "autovacuum_off", Severity.CRITICAL),
        ("track_counts", "off", "autovacuum_off", Severity.CRITICAL),
    ],
)
async def test_a_setting_of_the_server(
    url: str, admin: Connection, setting: str, value: str, code: str, severity: Severity
) -> None:
    with reloaded(admin, setting, value):
        finding = await the_one(url, code, severity)
        assert f"ALTER SYSTEM SET {setting} = " in finding.fix
    assert await codes(url) == []


@pytest.mark.parametrize(
    ("setting", "value", "code", "severity"),
    [
        ("synchronous_commit", "off", "commits_not_durable", Severity.CRITICAL),
        ("default_transaction_isolation", "serializable", "isolation_raised", Severity.WARNING),
        ("default_transaction_read_only", "on", "server_read_only", Severity.CRITICAL),
        ("lock_timeout", "10ms", "timeout_short", Severity.CRITICAL),
        ("transaction_timeout", "29s", "timeout_short", Severity.WARNING),
        ("idle_session_timeout", "1h", "idle_sessions_cut", Severity.WARNING),
    ],
)
async def test_a_setting_of_the_database(
    url: str, admin: Connection, setting: str, value: str, code: str, severity: Severity
) -> None:
    name = urlsplit(url).path.strip("/")
    admin.execute(f"alter database {name} set {setting} = '{value}'".encode())
    finding = await the_one(url, code, severity)
    assert finding.fix


async def test_limits_that_schedora_sets_itself_are_no_matter(url: str, admin: Connection) -> None:
    name = urlsplit(url).path.strip("/")
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        admin.execute(f"alter database {name} set {setting} = '100ms'".encode())
    assert await codes(url) == []


@pytest.fixture
def standby_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of nobody: it waits for what never comes."""
    data = tmp_path_factory.mktemp("standby")
    server = start_embedded(data, {"fsync": "off"})
    migrate(server.url)
    server.release()
    (data / "postgres" / "standby.signal").touch()
    server = start_embedded(data, {"fsync": "off"})
    yield server.url
    server.release()


async def test_a_standby(standby_url: str) -> None:
    """Every check is done there: none changes anything."""
    await the_one(standby_url, "server_standby")


async def test_that_standbys_cannot_be_seen_is_said_where_commits_wait_for_one(
    admin: Connection, visitor_url: str
) -> None:
    assert checked(await examined(visitor_url), "server").not_done is None
    with reloaded(admin, "synchronous_standby_names", "nobody"):
        server = checked(await examined(visitor_url), "server")
    assert "commits_wait" not in [finding.code for finding in server.findings]
    assert "whether any is a standby that commits wait for" in str(server.not_done)
