"""What answers are wrapped in."""

from typing import Generic, TypeVar

from typing_extensions import TypedDict

T = TypeVar("T")


class Data(TypedDict, Generic[T]):
    data: T


class Page(TypedDict, Generic[T]):
    """``next_cursor`` asks for what comes next; null at the end."""

    data: list[T]
    next_cursor: str | None
