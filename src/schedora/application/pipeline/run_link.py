"""The way from a handler's context to the worker that runs it."""

from collections.abc import Set as AbstractSet

from schedora.application.pipeline.complete_in_transaction import CompleteInTransaction
from schedora.application.pipeline.run import Run
from schedora.application.pipeline.runs import Runs
from schedora.domain.completion import Completion
from schedora.domain.ids import JsonText


class Link:
    """That of one run. May be used from any thread."""

    __slots__ = ("_complete", "_run", "_runs")

    def __init__(self, run: Run, *, runs: Runs, complete: CompleteInTransaction) -> None:
        self._run = run
        self._runs = runs
        self._complete = complete

    @property
    def cancelled(self) -> bool:
        return self._run.cancelled

    def report(self, progress: JsonText) -> None:
        self._runs.loop.call_soon_threadsafe(self._runs.report, self._run, progress)

    def written(self, completion: Completion, released: AbstractSet[str]) -> None:
        self._run.written = completion
        self._run.released = released

    def leave_line(self, line: JsonText) -> None:
        self._run.leave_line(line)

    def leave_span(self, span: JsonText) -> None:
        self._run.leave_span(span)

    async def complete_in(self, connection: object, result: JsonText) -> None:
        await self._complete(self._run, connection, result)
