"""What a run yields: one value with a name, matched once, in ``completion.py``."""

from datetime import timedelta

from attrs import frozen

from schedora.domain.ids import JsonText


@frozen(kw_only=True)
class Succeeded:
    result: JsonText | None = None


@frozen(kw_only=True)
class Failed:
    """The handler raised. ``retry_after`` overrides the policy's delay; not ``retryable`` ends in DEAD."""

    kind: str
    message: str
    traceback: str | None = None
    retryable: bool = True
    retry_after: timedelta | None = None


@frozen(kw_only=True)
class TimedOut:
    timeout: timedelta


@frozen(kw_only=True)
class Snoozed:
    """Run again after ``delay``; no attempt is used up."""

    delay: timedelta
    reason: str | None = None


@frozen(kw_only=True)
class Released:
    """The worker gives the job back unfinished; no attempt is used up."""

    reason: str


@frozen(kw_only=True)
class WorkerLost:
    """The worker that held it fell silent, or was seen to end. ``evidence`` is what that left."""

    message: str
    evidence: str | None = None


Outcome = Succeeded | Failed | TimedOut | Snoozed | Released | WorkerLost
