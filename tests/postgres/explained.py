"""Plans as PostgreSQL carries them out, for the statements that adapters send."""

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Any

import psycopg
from attrs import define, field, frozen

from schedora.adapters.postgres import engine
from schedora.adapters.postgres.session import Row, Session
from schedora.adapters.postgres.statements import Statement, load

_OPTIONS = " ".join(f"-c {name}={value}" for name, value in engine._PLANNER.items())


@frozen(kw_only=True)
class Scan:
    """One way into one table."""

    table: str
    index: str | None
    rows: int
    """What it read, whether it was of use or not."""
    slack: int
    """By how many that may be wrong: before 18, PostgreSQL tells whole rows for the average of many rounds."""


@frozen(kw_only=True)
class Plan:
    statement: Statement
    root: dict[str, Any]

    @property
    def nodes(self) -> Iterator[dict[str, Any]]:
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            waiting += node.get("Plans", [])
            yield node

    @property
    def scans(self) -> list[Scan]:
        return [
            Scan(
                table=node["Relation Name"],
                index=node.get("Index Name"),
                rows=_rows_read(node),
                slack=_slack(node),
            )
            for node in self.nodes
            if node["Node Type"].endswith("Scan")
            and "Relation Name" in node
            and node["Node Type"] != "Tid Scan"
        ]

    def indexes(self, *tables: str) -> set[str | None]:
        """What it finds rows of these tables by; None for going through all of them."""
        return {scan.index for scan in self.scans if scan.table in tables}

    def rows(self, *tables: str) -> int:
        """How many rows of these tables it read, as PostgreSQL tells it."""
        return sum(scan.rows for scan in self.scans if scan.table in tables)

    def reads(self, rows: int, *tables: str) -> bool:
        """Whether it read so many rows of these tables."""
        slack = sum(scan.slack for scan in self.scans if scan.table in tables)
        return abs(self.rows(*tables) - rows) <= slack

    @property
    def pages(self) -> int:
        """How many pages of tables and indexes it looked at."""
        hit: int = self.root["Shared Hit Blocks"]
        read: int = self.root["Shared Read Blocks"]
        return hit + read

    @property
    def sorts(self) -> bool:
        return any("Sort" in node["Node Type"] for node in self.nodes)


def _rows_read(node: dict[str, Any]) -> int:
    removed: int = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    rows: float = (node["Actual Rows"] + removed) * node["Actual Loops"]
    return round(rows)


def _slack(node: dict[str, Any]) -> int:
    exact = isinstance(node["Actual Rows"], float) or node["Actual Loops"] == 1
    return 0 if exact else -(-int(node["Actual Loops"]) // 2)


@define
class Explaining:
    """A session, and as good as a database for readers: explains each statement, then has it carried out."""

    url: str
    session: Session
    plans: list[Plan] = field(factory=list)

    async def fetch(self, statement: Statement, /, **values: Any) -> Sequence[Row]:
        if "savepoint" in statement.text:  # each statement is a transaction of its own here
            return []
        self.plans.append(explained(self.url, statement, values))
        return await self.session.fetch(statement, **values)

    @property
    def plan(self) -> Plan:
        """Of the one statement there was."""
        (plan,) = self.plans
        return plan


def explained(url: str, statement: Statement, values: dict[str, Any]) -> Plan:
    """What happens when it is run, which is then taken back. Planned as on the engine's connections."""
    with psycopg.connect(url, options=_OPTIONS, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(f"prepare it as {statement.text}".encode())
        arguments = statement.arguments(**values)
        call = f"execute it ({', '.join(['%s'] * len(arguments))})" if arguments else "execute it"
        explain = f"explain (analyze, buffers, timing off, format json) {call}"
        told = connection.execute(explain.encode(), arguments or None).fetchall()
        connection.rollback()
    return Plan(statement=statement, root=told[0][0][0]["Plan"])


def named_indexes(name: str) -> set[str]:
    """Those that the head of ``sql/<name>.sql`` names."""
    load(name)
    text = files("schedora.adapters.postgres").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))
    return set(re.findall(r"\b\w+_(?:idx|pkey|key)\b", head))
