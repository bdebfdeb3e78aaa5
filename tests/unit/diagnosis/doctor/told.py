"""What findings say, in words and in values: people read the one, programs the other. Of the tests of all checks what they share."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import attrs

from schedora.diagnosis.doctor.finding import Detail, Observation, Severity
from schedora.diagnosis.doctor.sessions import ServerSession

OK, WARNING, CRITICAL = Severity
SECOND, MINUTE, HOUR = (timedelta(seconds=seconds) for seconds in (1, 60, 3_600))
FINE = timedelta(microseconds=123_600)
MILLION, GIB, MIB = 1_000_000, 1 << 30, 1 << 20
PSQL = ServerSession(pid=7, application_name="psql", user="ada", state="active", query="select ?")
IDLE = attrs.evolve(PSQL, state="idle in transaction", lasting=HOUR)
BACKEND = attrs.evolve(PSQL, state=None, query=None)

Told = list[tuple[str, Severity, str, Mapping[str, Detail]]]
"""Of each finding: its code, how bad it is, what it says, and its values."""
Cases = Sequence[tuple[Observation, Told]]


def told_of(facts: Observation) -> Told:
    return [(one.code, one.severity, one.found, one.details) for one in facts.findings()]
