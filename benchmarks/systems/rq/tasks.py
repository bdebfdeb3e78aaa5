"""What RQ's workers import: its jobs name their function."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.systems.driving import Done, Payload

counted: list[Done] = []


def noop(payload: Payload) -> None:
    counted[0](payload["at"])
