"""Pages of long lists: a walk along ids, newest first.

It ends when the page is full, by rows or by bytes, or when it has gone so far that another request should go on. So what a page costs
does not grow with what is stored, and nothing has to be indexed for the sake of filters.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    func,
    literal,
    or_,
    select,
    true,
)

from schedora.adapters.postgres.built import compiled
from schedora.adapters.postgres.statements import Statement


def keyset_scan(
    whole: Select[Any],
    key: ColumnElement[Any],
    *,
    along: FromClause,
    by: ColumnElement[Any],
    within: Collection[ColumnElement[bool]],
    fits: Collection[ColumnElement[bool]],
    documents: Collection[ColumnElement[Any]],
) -> Statement:
    """The statement that reads ``whole`` rows by their ``key``, which ``along`` has as ``by``. ``documents`` are columns of
    the table that has the key, and what is large of a row.

    It takes ``scan_limit``, ``limit`` and ``page_bytes``, and answers those ``within`` the bounds that ``fits``, and the last one
    walked over: ``sliced`` tells them apart.
    """
    scan_limit = bindparam("scan_limit", type_=Integer)
    steps = (
        select(
            by.label("id"),
            func.row_number().over(order_by=by.desc()).label("step"),
            and_(true(), *fits).label("fits"),
        )
        .select_from(along)
        .where(*within)
        .order_by(by.desc())
        .limit(scan_limit)
        .subquery("steps")
    )
    few = (
        select(steps.c.id, steps.c.step, steps.c.fits)
        .where(or_(steps.c.fits, steps.c.step == scan_limit))
        .order_by(steps.c.id.desc())
        # One more than asked for tells whether there is a next page.
        .limit(bindparam("limit", type_=Integer) + 1)
        .subquery("few")
    )
    # Measured before any is read whole: a page of large documents would take all of the memory on its way.
    own_bytes = sum((func.coalesce(func.octet_length(cast(one, Text)), 0) for one in documents), literal(0))
    sized = (
        select(
            few.c.id,
            few.c.step,
            few.c.fits,
            own_bytes.label("own_bytes"),
            cast(func.sum(own_bytes).over(order_by=few.c.id.desc()), BigInteger).label("bytes"),
        )
        .join(few, few.c.id == key)
        .subquery("sized")
    )
    return compiled(
        whole.add_columns(sized.c.id, sized.c.step, sized.c.fits, sized.c.bytes)
        .join(sized, sized.c.id == key)
        .where(sized.c.bytes - sized.c.own_bytes < bindparam("page_bytes", type_=BigInteger))
        .order_by(sized.c.id.desc())
    )
