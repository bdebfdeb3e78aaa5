"""Which traces are kept and told to others, decided once, where they begin: by the names that OpenTelemetry has.

What is derived from records is there for every job, sampled or not, for it costs nothing.
"""

from enum import StrEnum
from typing import Final

from attrs import evolve, frozen

from schedora.domain.trace import TraceContext

_HALF: Final = 1 << 64
"""As many values as the second half of a trace's id can have: OpenTelemetry decides by that."""


class SamplerKind(StrEnum):
    ALWAYS_ON = "always_on"
    ALWAYS_OFF = "always_off"
    TRACEIDRATIO = "traceidratio"
    PARENTBASED_ALWAYS_ON = "parentbased_always_on"
    PARENTBASED_ALWAYS_OFF = "parentbased_always_off"
    PARENTBASED_TRACEIDRATIO = "parentbased_traceidratio"


@frozen
class Sampler:
    """``ratio`` of all traces that begin here. ``by_parent``: what comes with a decision keeps it."""

    ratio: float = 1.0
    by_parent: bool = True

    @classmethod
    def of(cls, kind: SamplerKind, ratio: float | None = None) -> "Sampler":
        """``ratio`` counts where the kind asks for one; all without it."""
        name = kind.removeprefix("parentbased_")
        by_parent = name != kind
        if name == SamplerKind.TRACEIDRATIO:
            return cls(1.0 if ratio is None else ratio, by_parent)
        return cls(1.0 if name == SamplerKind.ALWAYS_ON else 0.0, by_parent)

    def takes(self, trace_id: str) -> bool:
        """Whether a trace that begins here is sampled: for one and the same trace, everywhere the same."""
        if self.ratio >= 1:
            return True
        return int(trace_id[16:], 16) < round(self.ratio * _HALF)

    def begun(self, trace: TraceContext) -> TraceContext:
        """A trace that begins here."""
        sampled = self.takes(trace.trace_id)
        return trace if trace.sampled == sampled else evolve(trace, sampled=sampled)

    def followed(self, trace: TraceContext) -> TraceContext:
        """A trace that comes from elsewhere, and goes on here."""
        return trace if self.by_parent else self.begun(trace)


EVERYTHING: Final = Sampler()
"""What is not decided elsewhere is sampled."""
