"""The server that commands talk to, and the two options that all of them share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

import schedora
from schedora.domain.errors import brief
from schedora.entrypoints.cli.exits import Failed, Misused
from schedora.entrypoints.sdk.server_url import API, api_url, server_address

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.client import SchedoraClient

DEFAULT_URL = "http://127.0.0.1:8000"
DESCRIPTION_SECONDS = 5.0
"""For the description of a server's API."""

UrlOption = Annotated[
    str, typer.Option("--url", envvar="SCHEDORA_URL", metavar="URL", help="Where the server listens.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="For programs: one JSON document on standard output, nothing else.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=500, help="At most so many.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Go on behind an earlier list, with what it gave as next.")
]


@contextmanager
def reached(url: str) -> Iterator["SchedoraClient"]:
    """A client of the server at ``url``. Raises ``Misused`` for what is no URL of a server, and as ``answering`` does."""
    from schedora.entrypoints.sdk.client import SchedoraClient  # noqa: PLC0415 - --help must not load it

    with answering(url), SchedoraClient(url) as client:
        yield client


@contextmanager
def answering(url: str) -> Iterator[None]:
    """Raises ``Misused`` for what is no URL of a server, and ``Failed``, inside, when nothing answers there, or nothing that
    knows what it is asked for.
    """
    from schedora.entrypoints.sdk.errors import Unavailable, UnknownEndpoint  # noqa: PLC0415 - as above

    place = checked_url(url)
    try:
        yield
    except Unavailable as error:
        if error.problem is not None:
            raise
        raise Failed(f"{place} can't be reached: {error}") from error
    except UnknownEndpoint as error:
        raise Failed(f"{place}: {error}. {_what_it_may_be(url)}") from error


def _what_it_may_be(url: str) -> str:
    """A server that does not know what this command asks for."""
    version, own = _version(url), schedora.__version__
    if version is None:
        return f"It is older than this command ({own}), or no Schedora: bring it up to date, or correct --url"
    return f"Its version is {version}, that of this command {own}: bring it up to date, or use the command of its version"


def _version(url: str) -> str | None:
    """As the server tells it, in the one place that all versions have; None where no Schedora does."""
    from schedora.entrypoints.sdk.client import SchedoraClient  # noqa: PLC0415 - as above
    from schedora.entrypoints.sdk.conversation import Call, ask  # noqa: PLC0415
    from schedora.entrypoints.sdk.decoding import whole  # noqa: PLC0415
    from schedora.entrypoints.sdk.errors import SchedoraError  # noqa: PLC0415

    def version(body: bytes) -> str:
        described = whole(dict[str, Any])(body)
        if f"{API}/jobs" not in described["paths"]:
            raise ValueError("another API")
        return str(described["info"]["version"])

    description = f"{api_url(url).removesuffix(API)}/openapi.json"
    with SchedoraClient(url, timeout=DESCRIPTION_SECONDS) as client:
        try:
            return client.hold(ask(Call(method="GET", path=description, decode=version)))
        except SchedoraError:
            return None


def checked_url(url: str) -> str:
    """Where that is, without the secrets that a URL may carry. Raises ``Misused``."""
    parts = server_address(url)
    if parts is None:
        raise Misused(f"--url, or SCHEDORA_URL, must be a URL like {DEFAULT_URL}, not {brief(url)}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
