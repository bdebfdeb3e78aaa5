"""The server that commands talk to, and the two options that all of them share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from schedora.domain.errors import brief
from schedora.entrypoints.cli.exits import Failed, Misused
from schedora.entrypoints.sdk.server_url import server_address

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.client import SchedoraClient

DEFAULT_URL = "http://127.0.0.1:8000"

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
    """A client of the server at ``url``.

    Raises ``Misused`` for what is no URL of a server, and ``Failed``, inside, when nothing answers there.
    """
    from schedora.entrypoints.sdk.client import SchedoraClient  # noqa: PLC0415 - --help must not load it
    from schedora.entrypoints.sdk.errors import Unavailable  # noqa: PLC0415

    place = checked_url(url)
    with SchedoraClient(url) as client:
        try:
            yield client
        except Unavailable as error:
            if error.problem is not None:
                raise
            raise Failed(f"{place} can't be reached: {error}") from error


def checked_url(url: str) -> str:
    """Where that is, without the secrets that a URL may carry. Raises ``Misused``."""
    parts = server_address(url)
    if parts is None:
        raise Misused(f"--url, or SCHEDORA_URL, must be a URL like {DEFAULT_URL}, not {brief(url)}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
