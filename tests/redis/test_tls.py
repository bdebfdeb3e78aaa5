"""Redis over TLS: the server's certificate is looked at as the URL says, and its own is shown where one is asked for."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme

from schedora.adapters.redis.errors import RedisAway
from tests.redis.reaching import reaching, refused
from tests.redis.servers import RedisServer

AUTHORITY = trustme.CA()
OTHER_AUTHORITY = trustme.CA()


@asynccontextmanager
async def in_tls(
    server: RedisServer, name: str, *, of_client: trustme.CA | None = None
) -> AsyncIterator[int]:
    """A port where ``server`` is reached by TLS, under a certificate for ``name``."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(name).configure_cert(context)
    if of_client is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        of_client.configure_trust(context)
    passing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", server.port)
        both = [asyncio.create_task(passed(reader, back)), asyncio.create_task(passed(there, writer))]
        passing.update(both)
        await asyncio.wait(both)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # one side has gone, and the other follows
    finally:
        writer.close()


@pytest.fixture
def authority(tmp_path: Path) -> str:
    path = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    return str(path)


def url(port: int, **options: str) -> str:
    return f"rediss://localhost:{port}/0?{urlencode(options)}"


async def test_commands_scripts_and_reads_that_wait_go_by_tls(
    redis_server: RedisServer, authority: str
) -> None:
    async with (
        in_tls(redis_server, "localhost") as port,
        reaching(url(port, ssl_ca_certs=authority)) as link,
    ):
        assert await link.call("SET", "a", "1", "PX", 60_000) == b"OK"
        async with link.own_connection() as own:
            await link.call("RPUSH", "list", "b")
            assert await own.call("BLPOP", "list", 5) == [b"list", b"b"]


async def test_the_authority_may_be_in_the_url_itself(redis_server: RedisServer) -> None:
    data = AUTHORITY.cert_pem.bytes().decode()
    async with (
        in_tls(redis_server, "localhost") as port,
        reaching(url(port, ssl_ca_data=data)) as link,
    ):
        await link.check()


@pytest.mark.parametrize(
    ("name", "trusted"),
    [("localhost", OTHER_AUTHORITY), ("elsewhere.example", AUTHORITY)],
    ids=["authority", "name"],
)
async def test_a_certificate_of_another_is_refused_and_the_reason_told(
    redis_server: RedisServer, tmp_path: Path, name: str, trusted: trustme.CA
) -> None:
    path = tmp_path / "trusted.pem"
    trusted.cert_pem.write_to_path(path)
    async with (
        in_tls(redis_server, name) as port,
        refused(url(port, ssl_ca_certs=str(path), ssl_check_hostname="true")) as link,
    ):
        with pytest.raises(RedisAway, match=r"(?i)certificate"):
            await link.check()


async def test_the_certificate_is_not_looked_at_where_that_is_asked(redis_server: RedisServer) -> None:
    async with (
        in_tls(redis_server, "elsewhere.example") as port,
        reaching(url(port, ssl_cert_reqs="none", ssl_check_hostname="false")) as link,
    ):
        await link.check()


async def test_a_certificate_of_the_client_is_shown(
    redis_server: RedisServer, authority: str, tmp_path: Path
) -> None:
    own = AUTHORITY.issue_cert("client.example")
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    own.cert_chain_pems[0].write_to_path(cert)
    own.private_key_pem.write_to_path(key)
    async with in_tls(redis_server, "localhost", of_client=AUTHORITY) as port:
        shown = url(port, ssl_ca_certs=authority, ssl_certfile=str(cert), ssl_keyfile=str(key))
        async with reaching(shown) as link:
            await link.check()
        async with refused(url(port, ssl_ca_certs=authority)) as link:
            with pytest.raises(RedisAway):
                await link.check()


async def test_a_server_without_tls_is_away(redis_server: RedisServer, authority: str) -> None:
    silent = url(redis_server.port, ssl_ca_certs=authority, socket_connect_timeout="0.1")
    async with refused(silent) as link:
        with pytest.raises(RedisAway):
            await link.check()
