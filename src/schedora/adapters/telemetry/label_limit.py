"""Keeps labels few: names of job types and queues come from whoever submits, and each makes series that stay for good."""

from collections.abc import Collection, Iterable, Mapping

from schedora.application.ports.shared_counters import Series, SharedCounters

OTHER = "other"
"""What has no series of its own is counted under this name."""

KIND_OF_LABEL: Mapping[str, str] = {"job_type": "type", "queue_name": "queue", "queue": "queue"}
"""The labels that are bounded, and whose names they are."""


def known_values(series: Iterable[Series]) -> dict[str, set[str]]:
    """The job types and queues that have series of their own."""
    known: dict[str, set[str]] = {kind: set() for kind in KIND_OF_LABEL.values()}
    for one in series:
        for label, value in one.labels:
            if (kind := KIND_OF_LABEL.get(label)) is not None:
                known[kind].add(value)
    return known


def admitted(names: Iterable[str], known: Collection[str], *, values_max: int) -> frozenset[str]:
    """Those of them that may have series of their own: who has some keeps them, the rest in order of their names."""
    kept = {name for name in names if name in known}
    room = max(0, values_max - len(set(known) - {OTHER}))
    return frozenset(kept.union(sorted(set(names) - kept)[:room]))


class LabelLimit:
    """Of one process, by what all processes together have counted: ``values_max`` job types and as many queues have series
    of their own.
    """

    def __init__(self, shared_counters: SharedCounters, *, values_max: int) -> None:
        self._shared_counters = shared_counters
        self._values_max = values_max
        self._known = known_values(())

    async def bounded(self, counted: Mapping[Series, float]) -> Mapping[Series, float]:
        """The same counts under labels that may be. Raises ``StoreUnavailable``."""
        new = self._new(counted)
        if any(values and self._room(kind) for kind, values in new.items()):
            self._learn(await self._shared_counters.read())  # others may have taken the room meanwhile
            for kind, values in self._new(counted).items():
                self._known[kind] |= admitted(values, self._known[kind], values_max=self._values_max)
            new = self._new(counted)
        if not any(new.values()):
            return counted
        merged: dict[Series, float] = {}
        for series, value in counted.items():
            kept = self._within(series)
            merged[kept] = merged.get(kept, 0.0) + value
        return merged

    def _new(self, counted: Iterable[Series]) -> dict[str, set[str]]:
        return {kind: values - self._known[kind] for kind, values in known_values(counted).items()}

    def _room(self, kind: str) -> bool:
        return len(self._known[kind] - {OTHER}) < self._values_max

    def _learn(self, series: Iterable[Series]) -> None:
        for kind, values in known_values(series).items():
            self._known[kind] |= values

    def _within(self, series: Series) -> Series:
        labels = tuple((label, self._value(label, value)) for label, value in series.labels)
        return series if labels == series.labels else Series(series.name, labels)

    def _value(self, label: str, value: str) -> str:
        kind = KIND_OF_LABEL.get(label)
        return value if kind is None or value in self._known[kind] else OTHER
