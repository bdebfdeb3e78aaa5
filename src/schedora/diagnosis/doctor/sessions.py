"""A session at the database server, as far as it may be told."""

import re
from datetime import datetime, timedelta

from attrs import frozen

from schedora.diagnosis.doctor.finding import Detail
from schedora.diagnosis.wording import in_words

QUERY_LENGTH_MAX = 120

# In one pass, since each may hold what looks like the beginning of another. What was cut off goes on to the end.
_PART = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/ | /\*.* )  # one within another hides all that follows
    | (?P<identifier> "(?:[^"]|"")*(?:"|$) )
    | \b[Ee]'(?:[^'\\]|\\.|'')*(?:'|$)
    | '(?:[^']|'')*(?:'|$)
    | \$(?P<tag>[^\W\d]\w*|)\$.*?(?:\$(?P=tag)\$|$)
    | (?<![\w.$])[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b
    """,
    re.DOTALL | re.VERBOSE,
)


@frozen(kw_only=True)
class ServerSession:
    """``since``: when its transaction began. None is what the server does not tell, or does not tell us."""

    pid: int
    application_name: str = ""
    user: str | None = None
    database: str | None = None
    client: str | None = None
    state: str | None = None
    since: datetime | None = None
    lasting: timedelta | None = None
    query: str | None = None
    """How its statement begins, without what stands in it as a value."""

    @property
    def named(self) -> str:
        """For a sentence."""
        parts = [
            self.application_name,
            self.user and f"user {self.user}",
            self.client and f"from {self.client}",
            self.state,
        ]
        told = ", ".join(part for part in parts if part)
        spanning = f" for {in_words(self.lasting)}" if self.lasting is not None else ""
        return f"session {self.pid}" + (f" ({told})" if told else "") + spanning

    @property
    def doing(self) -> str:
        """For the end of a sentence; nothing where its statement is not told."""
        return f": {self.query}" if self.query else ""

    @property
    def details(self) -> dict[str, Detail]:
        """For programs."""
        return {
            "pid": self.pid,
            "application_name": self.application_name,
            "user": self.user,
            "database": self.database,
            "client": self.client,
            "state": self.state,
            "since": None if self.since is None else self.since.isoformat(),
            "seconds": None if self.lasting is None else round(self.lasting.total_seconds(), 3),
            "query": self.query,
        }


def beginning_of(statement: str) -> str:
    """How the statement begins, on one line: with ``?`` for each value in it, and without its comments, for both may
    hold what nobody else should read.
    """
    bare = _PART.sub(_told, statement)
    line = " ".join(bare.split())
    return line if len(line) <= QUERY_LENGTH_MAX else f"{line[: QUERY_LENGTH_MAX - 1]}…"


def _told(part: re.Match[str]) -> str:
    if part["comment"] is not None:
        return " "
    return part["identifier"] or "?"
