"""A table as one transaction sees it: the committed rows with its own changes over them."""

from collections.abc import Iterator, MutableMapping
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Change(NamedTuple, Generic[K, V]):
    """One row before and after; None where it does not exist."""

    key: K
    before: V | None
    after: V | None


class Overlay(MutableMapping[K, V]):
    """Changes nothing underneath until ``apply``. Beginning costs nothing, applying as much as was changed:
    the price of a transaction does not grow with the table. Rows are immutable, so that sharing them is safe.
    """

    def __init__(self, committed: MutableMapping[K, V]) -> None:
        self._committed = committed
        self._written: dict[K, V] = {}
        self._gone: set[K] = set()

    def __getitem__(self, key: K) -> V:
        if key in self._written:
            return self._written[key]
        if key in self._gone:
            raise KeyError(key)
        return self._committed[key]

    def __setitem__(self, key: K, row: V) -> None:
        self._written[key] = row
        self._gone.discard(key)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._written.pop(key, None)
        if key in self._committed:
            self._gone.add(key)

    def __contains__(self, key: object) -> bool:
        return key in self._written or (key not in self._gone and key in self._committed)

    def __iter__(self) -> Iterator[K]:
        yield from (key for key in self._committed if key not in self._gone)
        yield from (key for key in self._written if key not in self._committed)

    def __len__(self) -> int:
        new = sum(key not in self._committed for key in self._written)
        return len(self._committed) - len(self._gone) + new

    def changes(self) -> Iterator[Change[K, V]]:
        for key, row in self._written.items():
            yield Change(key, self._committed.get(key), row)
        for key in self._gone:
            yield Change(key, self._committed[key], None)

    def apply(self) -> None:
        """Writes the changes into the committed rows."""
        if self._written:
            self._committed.update(self._written)
        for key in self._gone:
            del self._committed[key]
