"""Whether the clocks of processes agree with the store's."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from attrs import field, frozen

from schedora.diagnosis.doctor.finding import Finding, FindingType, Observation, bad
from schedora.diagnosis.wording import in_words

CLOCK_SKEWED = FindingType(
    "clock_skewed",
    consequence="What is scheduled by that clock runs too early or too late by so much; ids made there, and so lists of jobs, are out of order.",
    fix="Keep that machine's clock, and the database's, in step: run chrony or systemd-timesyncd on both.",
)

SKEW_MIN, SKEW_CRITICAL = timedelta(seconds=2), timedelta(minutes=1)


@frozen(kw_only=True)
class ClockReading:
    """``ahead``: by how much this clock is before the store's; ``uncertainty``: by how much less it may be."""

    process: str
    ahead: timedelta
    uncertainty: timedelta


@frozen(kw_only=True)
class Clocks(Observation):
    readings: Sequence[ClockReading] = field(factory=tuple)

    def findings(self) -> Iterator[Finding]:
        for reading in self.readings:
            sure = abs(reading.ahead) - reading.uncertainty
            if sure < SKEW_MIN:
                continue
            way = "ahead of" if reading.ahead > timedelta(0) else "behind"
            yield CLOCK_SKEWED.found(
                bad(sure >= SKEW_CRITICAL),
                f"the clock of {reading.process} is {in_words(abs(reading.ahead))} {way} the database's",
                process=reading.process,
                ahead_seconds=round(reading.ahead.total_seconds(), 3),
                uncertainty_seconds=round(reading.uncertainty.total_seconds(), 3),
            )
