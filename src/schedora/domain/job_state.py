"""The state machine of a job: eight states and the one table of permitted moves.

Nothing else decides a move. The CHECK constraint of the record, the diagram in ``docs/lifecycle.md`` and the
contract tests are held against this table.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from schedora.domain.errors import IllegalMove


class JobState(StrEnum):
    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    RETRYING = "RETRYING"
    DEAD = "DEAD"
    CANCELED = "CANCELED"

    # As it compares, and in a tenth of the time that enumerations take: states are looked up for each job.
    __hash__ = str.__hash__


_S = JobState

MOVES: Final[Mapping[tuple[JobState, JobState], str]] = MappingProxyType(
    {
        (_S.PENDING, _S.SCHEDULED): "a worker claims it",
        (_S.PENDING, _S.CANCELED): "canceled, or a dependency can no longer succeed",
        (_S.SCHEDULED, _S.RUNNING): "its attempt starts",
        (_S.SCHEDULED, _S.PENDING): "its worker shuts down or is lost before the attempt starts",
        (_S.SCHEDULED, _S.CANCELED): "canceled",
        (_S.RUNNING, _S.SUCCESS): "the handler returns",
        (_S.RUNNING, _S.FAILED): "the handler raises, times out, or its worker is lost",
        (_S.RUNNING, _S.PENDING): "its worker drains and hands it back, or the handler snoozes",
        (_S.RUNNING, _S.CANCELED): "canceled",
        (_S.FAILED, _S.RETRYING): "retries are left and the error can be retried",
        (_S.FAILED, _S.DEAD): "no retries are left, or retrying is useless",
        (_S.RETRYING, _S.SCHEDULED): "its delay has passed and a worker claims it",
        (_S.RETRYING, _S.CANCELED): "canceled",
        (_S.DEAD, _S.PENDING): "an operator requeues it",
        (_S.CANCELED, _S.PENDING): "an operator requeues it",
    }
)
"""Each permitted move (from, to) with its reason."""

WAITING: Final = frozenset({_S.PENDING, _S.RETRYING})
"""Not held by a worker, and not ended."""

HELD: Final = frozenset({_S.SCHEDULED, _S.RUNNING})
"""Under a worker's lease."""

ENDED: Final = frozenset({_S.SUCCESS, _S.DEAD, _S.CANCELED})
"""Nothing happens any more unless an operator asks for it."""

PASSING: Final = frozenset({_S.FAILED})
"""Entered and left within one transaction: seen in a job's history, never at rest."""

REQUEUABLE: Final = frozenset({_S.DEAD, _S.CANCELED})


def check_move(from_state: JobState, to_state: JobState) -> None:
    """Raises ``IllegalMove`` unless the table has this move."""
    if (from_state, to_state) not in MOVES:
        raise IllegalMove(from_state, to_state)
