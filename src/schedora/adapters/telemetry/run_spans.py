"""The spans that handlers make themselves, by way of OpenTelemetry: children of their attempt, kept with it.

A program that does not use OpenTelemetry need not carry it: nothing here imports it before somebody else has.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from schedora.application.run_scope import RunScope
from schedora.domain.ids import JsonText

if TYPE_CHECKING:
    from schedora.adapters.telemetry.attempt_span import AttemptSpans

_USED = "opentelemetry.trace"


class HandlerSpans:
    """Port ``RunSpans``."""

    def __init__(
        self, on_stray: Callable[[JsonText], None] | None = None, *, in_process_of_its_own: bool = True
    ) -> None:
        """``on_stray`` is given the spans that belong to no run, where they are sampled and nobody else takes them.

        A program's provider is set once, for good: none is set up for a program whose process this is not.
        """
        self._on_stray = on_stray
        self._in_process_of_its_own = in_process_of_its_own
        self._spans: AttemptSpans | None = None

    @property
    def taken_elsewhere(self) -> bool:
        """Whether the program takes these spans where it wants them itself: what is kept here is a copy."""
        return self._spans is not None and self._spans.of_the_program

    def enter(self, scope: RunScope) -> object:
        if self._spans is None:
            if _USED not in sys.modules:
                return None
            from schedora.adapters.telemetry.attempt_span import AttemptSpans  # noqa: PLC0415 - as above

            self._spans = AttemptSpans(self._on_stray, in_process_of_its_own=self._in_process_of_its_own)
        return self._spans.enter(scope)

    def leave(self, entered: object) -> None:
        if entered is not None and self._spans is not None:
            self._spans.leave(entered)
