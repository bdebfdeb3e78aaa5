"""Lists as long as they were asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from schedora.entrypoints.sdk.api_views import Page

T = TypeVar("T")


def filled(read: "Callable[[int, str | None], Page[T]]", limit: int, cursor: str | None) -> "Page[T]":
    """What ``read`` answers to a limit and a cursor, asked on until there are so many or no more.

    The server answers with fewer where it looked at much and found little.
    """
    from schedora.entrypoints.sdk.api_views import Page  # noqa: PLC0415 - --help must not load it

    found: list[T] = []
    while True:
        page = read(limit - len(found), cursor)
        found += page.data
        cursor = page.next_cursor
        if cursor is None or len(found) >= limit:
            return Page(data=tuple(found), next_cursor=cursor)
