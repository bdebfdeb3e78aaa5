"""How far a walk along ids goes for one page, and what of it is the page."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from schedora.adapters.postgres.session import Row

SCAN_LIMIT = 100_000
"""Rows walked over for one page, at most: 40 ms if they are in memory, a second if they are not."""
SPARSE_SCAN_LIMIT = 10_000
"""The same where rows that follow each other lie far apart: one page of the table each."""


class Slice(NamedTuple):
    """``rows`` for one page, and the id that the next one goes on behind; None at the end."""

    rows: Sequence[Row]
    next_after: UUID | None


def sliced(found: Sequence[Row], *, limit: int, scan_limit: int, page_bytes: int) -> Slice:
    fitting = [row for row in found if row["fits"]]
    if len(fitting) > limit:
        return Slice(fitting[:limit], fitting[limit - 1]["id"])
    goes_on = bool(found) and (found[-1]["step"] == scan_limit or found[-1]["bytes"] >= page_bytes)
    return Slice(fitting, found[-1]["id"] if goes_on else None)
