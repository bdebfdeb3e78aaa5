"""Pages of long lists: a walk along ids, newest first.

It ends when the page is full, or when it has gone so far that another request should go on. So what a page costs
does not grow with what is stored, and nothing has to be indexed for the sake of filters.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, Select, and_, bindparam, func, or_, select, true

from schedora.adapters.postgres.built import compiled
from schedora.adapters.postgres.statements import Statement


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
