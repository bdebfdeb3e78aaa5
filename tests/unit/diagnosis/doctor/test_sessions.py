"""How sessions are told of."""

from datetime import timedelta

import pytest

from schedora.diagnosis.doctor.sessions import QUERY_LENGTH_MAX, ServerSession, beginning_of
from tests.builders import NOON


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("select 1", "select ?"),
        ("select\n  a,\tb\nfrom t1 where x = 'secret'", "select a, b from t1 where x = ?"),
        ("alter role a password 'it''s' valid", "alter role a password ? valid"),
        (r"select E'a\'secret' as b", "select ? as b"),
        ("select 'cut off in the mid", "select ?"),
        ("select $$secret 'a$$, $b$secret$b$ from c", "select ?, ? from c"),
        ("select $$cut off", "select ?"),
        ("select $1, -2.5e3, t1.c2", "select $1, ?, t1.c2"),
        ("select a -- secret\nfrom b /* secret */ where c", "select a from b where c"),
        ("select a /* cut off", "select a"),
        ('select "Name 1" from b', 'select "Name 1" from b'),
        ("select \"it's\" from b where c = 'secret'", 'select "it\'s" from b where c = ?'),
        (r"select 'a\' where b = 'secret'", "select ? where b = ?"),
        ("select '--', 'secret'", "select ?, ?"),
        ("select -- it's\n a from b where c = 'secret'", "select a from b where c = ?"),
        ("select /* a /* b */ secret */ c", "select"),
        ("select /* a */ b /* it's */ from c where d = 'secret'", "select b from c where d = ?"),
        ("select b'101', U&'secret', 1.5, a1", "select b?, U&?, ?, a1"),
        ("", ""),
    ],
)
def test_what_a_statement_holds_is_not_told(statement: str, told: str) -> None:
    assert beginning_of(statement) == told


def test_a_long_statement_is_cut() -> None:
    told = beginning_of("select " + "column, " * 100)
    assert len(told) == QUERY_LENGTH_MAX
    assert told.endswith("…")
    assert beginning_of("x" * QUERY_LENGTH_MAX) == "x" * QUERY_LENGTH_MAX


def test_a_session_is_named_by_what_is_known() -> None:
    assert (ServerSession(pid=7).named, ServerSession(pid=7).doing) == ("session 7", "")
    session = ServerSession(
        pid=7, application_name="psql", user="ada", client="10.0.0.5", state="idle in transaction",
        since=NOON, lasting=timedelta(minutes=12), query="select ?",
    )  # fmt: skip
    assert session.named == "session 7 (psql, user ada, from 10.0.0.5, idle in transaction) for 12 min"
    assert session.doing == ": select ?"
    assert session.details == {
        "pid": 7, "application_name": "psql", "user": "ada", "database": None, "client": "10.0.0.5",
        "state": "idle in transaction", "since": NOON.isoformat(), "seconds": 720.0, "query": "select ?",
    }  # fmt: skip
