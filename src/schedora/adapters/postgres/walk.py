"""Pages of long lists: a walk along ids, newest first.

It ends when the page is full, or when it has gone so far that another request should go on. So what a page costs
does not grow with what is stored, and nothing has to be indexed for the sake of filters.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, Integer, Select, and_, bindparam, func, or_, select, true

from schedora.adapters.postgres.session import Row
from schedora.adapters.postgres.statements import Statement, compiled

STRIDE = 100_000
"""Rows walked over for one page, at most: 40 ms if they are in memory, a second if they are not."""
SPARSE_STRIDE = 10_000
"""The same where rows that follow each other lie far apart: one page of the table each."""


class Slice(NamedTuple):
    """``rows`` for one page, and the id that the next one goes on behind; None at the end."""

    rows: Sequence[Row]
    next_after: UUID | None


def walked(
    whole: Select[Any],
    key: ColumnElement[Any],
    *,
    along: FromClause,
    by: ColumnElement[Any],
    within: Collection[ColumnElement[bool]],
    fits: Collection[ColumnElement[bool]],
) -> Statement:
    """The statement that reads ``whole`` rows by their ``key``, which ``along`` has as ``by``.

    It takes ``stride`` and ``limit``, and answers those ``within`` the bounds that ``fits``, and the last one walked
    over: ``sliced`` tells them apart.
    """
    stride = bindparam("stride", type_=Integer)
    steps = (
        select(
            by.label("id"),
            func.row_number().over(order_by=by.desc()).label("step"),
            and_(true(), *fits).label("fits"),
        )
        .select_from(along)
        .where(*within)
        .order_by(by.desc())
        .limit(stride)
        .subquery("steps")
    )
    return compiled(
        whole.add_columns(steps.c.id, steps.c.step, steps.c.fits)
        .join(steps, steps.c.id == key)
        .where(or_(steps.c.fits, steps.c.step == stride))
        .order_by(steps.c.id.desc())
        # One more than asked for tells whether there is a next page.
        .limit(bindparam("limit", type_=Integer) + 1)
    )


def sliced(found: Sequence[Row], *, limit: int, stride: int) -> Slice:
    fitting = [row for row in found if row["fits"]]
    if len(fitting) > limit:
        return Slice(fitting[:limit], fitting[limit - 1]["id"])
    walked_out = bool(found) and found[-1]["step"] == stride
    return Slice(fitting, found[-1]["id"] if walked_out else None)
